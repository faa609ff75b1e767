// The drawing: its places come with the page; here it is put up, opened and coloured.
'use strict';

const svgNames = 'http://www.w3.org/2000/svg';
function svgElement(name, attributes = {}, ...children) {
  const made = document.createElementNS(svgNames, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

const folded = -1, everything = -2;
const graph = { open: folded, nodes: new Map(), edges: [] };
/** The node that shows a line in the present drawing: the line itself, or −1 − its group. */
const nodeOf = (i) => {
  const group = data.lines[i].group;
  return group === undefined || graph.open === everything || graph.open === group ? i : -1 - group;
};
const count = (n, one, many = `${one}s`) => `${n} ${n === 1 ? one : many}`;

/** What a node says of its value and of its gradient: the numbers themselves where they are one or two. */
function brief(line, isGradient) {
  if (line.rows && sizeOf(line) <= 2) return line.rows.flat().map((value) => shown(value, 3)).join(', ');
  if (!isGradient) return shapeText(line.shape);
  return line.stats ? `‖${shown(line.stats[0], 3)}‖` : shapeText(line.shape);
}

function drawNode([id, x, y, width, height]) {
  const isGroup = id < 0;
  const line = isGroup ? null : data.lines[id];
  const group = isGroup ? data.groups[-1 - id] : null;
  const node = svgElement('g', { class: `node ${isGroup ? 'folded' : line.part}`, transform: `translate(${x} ${y})`, 'data-node': id });
  const box = (attributes) => svgElement('rect', { x: -width / 2, y: -height / 2, width, height, rx: line?.part === 'given' ? height / 2.4 : 7, ...attributes });
  if (isGroup) node.append(box({ class: 'below', transform: 'translate(4 4)' }));
  node.append(box({}));
  const text = (row, name, content) => node.append(svgElement('text', { class: name, y: -10 + 15 * row }, content));
  text(0, 'name', isGroup ? shortName(group.name) : line.label);
  text(1, 'value', isGroup ? count(group.operations, 'operation') : brief(line, false));
  text(2, 'gradient', '');
  const whole = svgElement('title', {}, isGroup ? `Open ${group.name}` : line.text ? `${line.name} = ${line.text}` : line.name);
  node.append(whole);
  if (isGroup) {
    node.setAttribute('tabindex', '0');
    node.setAttribute('role', 'button');
    node.setAttribute('aria-expanded', 'false');
    node.setAttribute('aria-label', `Open ${group.name}, ${count(group.operations, 'operation')}`);
  }
  return node;
}

/** Puts up the drawing in which this group is open. */
function openView(open) {
  const view = data.views.find((one) => one.open === open) ?? data.views[0];
  graph.open = view.open;
  graph.view = view;
  const svg = svgElement('svg', { viewBox: `-4 -4 ${view.width + 12} ${view.height + 12}`, role: 'group' });
  const tip = (name, from) => svgElement('marker', { id: name, viewBox: '0 0 8 8', refX: 7, refY: 4, markerWidth: 8, markerHeight: 8, markerUnits: 'userSpaceOnUse', orient: from },
    svgElement('path', { d: 'M0 0L8 4L0 8z' }));
  svg.append(svgElement('defs', {}, tip('tip', 'auto'), tip('tip-forward', 'auto'), tip('tip-backward', 'auto-start-reverse')));
  graph.edges = view.edges.map(([from, to, path]) => ({ from, to, path: svgElement('path', { class: 'edge', d: path }) }));
  svg.append(...graph.edges.map((edge) => edge.path));
  graph.nodes = new Map(view.nodes.map((node) => [node[0], drawNode(node)]));
  svg.append(...graph.nodes.values());
  $('stage').replaceChildren(svg);
  fit();

  const say = (label, to, id) => {
    const button = element('button', { type: 'button', id }, label);
    button.addEventListener('click', () => { openView(to); colour(); });
    return button;
  };
  if (data.groups.length) {
    const name = graph.open >= 0 ? data.groups[graph.open].name : graph.open === everything ? 'All modules open' : `${count(data.groups.length, 'module')}, folded: click one to open it`;
    const canOpenAll = graph.open !== everything && data.views.some((one) => one.open === everything);
    $('folds').replaceChildren(element('span', {}, name), ...(graph.open === folded ? [] : [say('Fold', folded, 'fold')]), ...(canOpenAll ? [say('Open all', everything, 'open-all')] : []));
  }
}

/** As large as the stage is wide, within what is legible; what is wider scrolls. */
function fit() {
  const svg = $('stage').firstElementChild;
  if (!svg) return;
  const scale = Math.min(1.25, Math.max(0.8, ($('stage').clientWidth - 2) / (graph.view.width + 12)));
  svg.setAttribute('width', (graph.view.width + 12) * scale);
  svg.setAttribute('height', (graph.view.height + 12) * scale);
  graph.scale = scale;
}

/** Colours nodes and edges as at a step: `isKnown` says of a line whether it has been computed by then. */
function colour() {
  const { line: at, isKnown } = graph.state;
  const step = at === null ? null : data.lines[at];
  const isBackward = step?.part === 'backward';
  const own = at === null ? null : ownerOf(at);
  const members = new Map();
  data.lines.forEach((line, i) => {
    if (line.part === 'backward') return;
    const node = nodeOf(i);
    members.set(node, [...(members.get(node) ?? []), i]);
  });
  for (const [id, node] of graph.nodes) {
    const lines = (members.get(id) ?? []).filter((i) => data.lines[i].part === 'forward' || id >= 0);
    const back = lines.filter((i) => gradients.has(i));
    const isReturned = back.length > 0 && back.every((i) => isKnown(gradients.get(i)));
    node.classList.toggle('known', lines.length > 0 && lines.every(isKnown) && !isReturned);
    node.classList.toggle('returned', isReturned);
    const isActive = own !== null && nodeOf(own) === id;
    node.classList.toggle('active', isActive);
    node.classList.toggle('forward', isActive && !isBackward);
    node.classList.toggle('backward', isActive && isBackward);
    if (id >= 0) {
      node.querySelector('.gradient').textContent = isReturned ? `∂ ${brief(data.lines[gradients.get(id)], true)}` : '';
      node.querySelector('.value').textContent = isKnown(id) ? brief(data.lines[id], false) : shapeText(data.lines[id].shape);
    }
  }
  const active = new Set(edgesOf(at).map(([from, to]) => `${nodeOf(from)} ${nodeOf(to)}`));
  for (const { from, to, path } of graph.edges) {
    const isActive = active.has(`${from} ${to}`);
    path.classList.toggle('active', isActive);
    path.classList.toggle('forward', isActive && !isBackward);
    path.classList.toggle('backward', isActive && isBackward);
    path.setAttribute('marker-end', isActive && isBackward ? '' : `url(#tip${isActive ? '-forward' : ''})`);
    path.setAttribute('marker-start', isActive && isBackward ? 'url(#tip-backward)' : '');
    if (isActive) path.parentNode.insertBefore(path, path.parentNode.querySelector('.node'));  // over the others
  }
  if (own !== null) intoView(graph.view.nodes.find(([id]) => id === nodeOf(own)));
}

const readersOf = (i) => data.lines.flatMap((line, k) => (line.part === 'forward' && line.reads.includes(i) ? [k] : []));
/** The edges that a step goes along: into a result, or, backward, those by which the quantity has an effect. */
function edgesOf(i) {
  const line = data.lines[i];
  if (line?.part === 'forward') return line.reads.map((read) => [read, i]);
  if (line?.part !== 'backward' || line.of === undefined) return [];
  return readersOf(line.of).map((reader) => [line.of, reader]);
}

function intoView(place) {
  if (!place) return;
  const [stage, [, x, y]] = [$('stage'), place];
  const [left, top] = [x * graph.scale - stage.clientWidth / 2, y * graph.scale - stage.clientHeight / 2];
  const isSeen = Math.abs(top - stage.scrollTop) < stage.clientHeight / 4 && Math.abs(left - stage.scrollLeft) < stage.clientWidth / 4;
  if (!isSeen) stage.scrollTo({ left, top, behavior: matchMedia('(prefers-reduced-motion: reduce)').matches ? 'auto' : 'smooth' });
}
