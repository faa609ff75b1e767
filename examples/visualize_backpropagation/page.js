// The walk through one training step, and the charts of the deep networks.
'use strict';

const $ = (id) => document.getElementById(id);
const data = JSON.parse($('data').textContent);
const frames = data.frames.rows.map((row) => Object.fromEntries(data.frames.names.map((name, i) => [name, row[i]])));

/** As the program prints numbers: three digits after the point, or two and an exponent below 0.001. */
function shown(number) {
  const size = Math.abs(number);
  const text = number !== 0 && size < 0.001 ? size.toExponential(1) : size.toFixed(3);
  return (number < 0 ? '−' : '') + text.replace('-', '−');
}

const namesIn = (template) => [...template.matchAll(/\{(\w+)\}/g)].map((match) => match[1]);
const fill = (template, frame) => template.replace(/\{(\w+)\}/g, (_, name) => shown(frame[name]));

// ---- the walk

const walk = { view: 'network', at: { network: 0, graph: 0 }, training: 0, layout: null };
const phaseNames = { start: 'Start', forward: 'Forward pass', backward: 'Backward pass', update: 'Update' };
const stepsOf = () => data.steps[walk.view];

/** Names of all quantities that steps 0 to `at` have computed: those in the last part of their lines. */
const knownAt = (at) => new Set(stepsOf().slice(0, at + 1).flatMap((step) => step.lines.flatMap((line) => namesIn(line.at(-1)))));

/** Puts Graphviz's drawing on the stage, in the direction that fits, and remembers what is what. */
function layOut() {
  const drawings = data.drawings[walk.view];
  const stage = $('stage');
  const naturalWidth = Number(drawings.wide.match(/viewBox="\S+ \S+ (\S+)/)[1]);
  const direction = stage.clientWidth >= 0.75 * naturalWidth ? 'wide' : 'tall';
  const layout = `${walk.view} ${direction}`;
  if (walk.layout === layout) return;
  walk.layout = layout;
  stage.innerHTML = drawings[direction];
  $('narrow').hidden = direction === 'wide';
  const svg = stage.firstElementChild;
  svg.style.maxWidth = `${1.3 * svg.viewBox.baseVal.width}px`;
  svg.removeAttribute('width');
  svg.removeAttribute('height');
  svg.setAttribute('aria-hidden', 'true');  // the step's text says the same
  svg.querySelector('.graph > polygon').remove();  // the white ground
  const labels = new Map();
  for (const group of svg.querySelectorAll('.node, .edge')) {
    const title = group.querySelector('title');
    const texts = [...group.querySelectorAll('text')];
    if (group.matches('.node')) labels.set(title.textContent, texts[0].textContent);
    const [tail, head] = title.textContent.split('->').map((name) => labels.get(name) ?? name);
    group.dataset.name = title.textContent;
    group.dataset.ends = JSON.stringify([tail, head]);
    title.remove();
    texts.forEach((text, i) => {
      text.dataset.template = text.textContent;
      if (text.textContent.includes('{d')) text.classList.add('gradient');
      else if (i > 0 && !text.textContent.includes('{')) text.classList.add('faint');
    });
  }
  for (const group of svg.querySelectorAll('.node, .edge'))  // now that every node's label is known
    group.dataset.key = group.dataset.name.split('->').map((name) => labels.get(name)).join('→');
}

/** Shows the present step of the walk at the present training step. */
function render() {
  layOut();
  const at = walk.at[walk.view], steps = stepsOf(), step = steps[at], frame = frames[walk.training];
  const known = knownAt(at), before = knownAt(at - 1);

  for (const group of document.querySelectorAll('#stage :is(.node, .edge)')) {
    const part = group.matches('.node') ? 'nodes' : 'edges';
    const touching = steps.slice(0, at + 1).filter((s) => s[part].includes(group.dataset.key));
    const phase = touching.at(-1)?.phase;
    const active = step[part].includes(group.dataset.key);
    group.classList.toggle('forward', phase === 'forward' || phase === 'start');
    group.classList.toggle('backward', phase === 'backward' || (phase === 'update' && !active));
    group.classList.toggle('update', phase === 'update' && active);
    group.classList.toggle('active', active);
  }
  for (const text of document.querySelectorAll('#stage text')) {
    const template = text.dataset.template;
    text.textContent = namesIn(template).every((name) => known.has(name)) ? fill(template, frame) : '';
  }

  $('phase').textContent = phaseNames[step.phase];
  $('phase').className = step.phase;
  $('count').textContent = `· ${at + 1} of ${steps.length}`;
  $('title').textContent = step.title;
  $('note').textContent = step.note;
  $('lines').className = step.phase;
  $('lines').replaceChildren(...step.lines.map((line) => {
    const row = document.createElement('p');
    line.forEach((part, i) => {
      const span = document.createElement('span');
      span.className = i === 0 ? 'symbols' : i === line.length - 1 ? 'result' : 'numbers';
      span.textContent = fill(part, frame);
      row.append(...(i ? [' = ', span] : [span]));
    });
    return row;
  }));
  for (const cell of document.querySelectorAll('#quantities td')) {
    cell.dataset.template ??= cell.textContent;
    const names = namesIn(cell.dataset.template);
    cell.textContent = names.length && names.every((name) => known.has(name)) ? fill(cell.dataset.template, frame) : '–';
    cell.classList.toggle('now', names.some((name) => known.has(name) && !before.has(name)));
  }
  $('dots').replaceChildren(...steps.map((s, i) => {
    const dot = document.createElement('li');
    dot.className = s.phase + (i <= at ? ' past' : '');
    return dot;
  }));
  for (const id of ['first', 'back']) $(id).setAttribute('aria-disabled', at === 0);
  for (const id of ['next', 'last']) $(id).setAttribute('aria-disabled', at === steps.length - 1);
}

function go(to) {
  walk.at[walk.view] = Math.max(0, Math.min(stepsOf().length - 1, to));
  render();
}
const moves = {
  first: () => go(0),
  back: () => go(walk.at[walk.view] - 1),
  next: () => go(walk.at[walk.view] + 1),
  last: () => go(stepsOf().length - 1),
};
for (const [id, move] of Object.entries(moves)) $(id).addEventListener('click', move);
document.addEventListener('keydown', (event) => {
  if (event.altKey || event.ctrlKey || event.metaKey || event.target.matches('input')) return;
  const onStage = event.target === $('stage');
  const move = { ArrowLeft: 'back', ArrowRight: 'next', ...(onStage && { ' ': 'next', Home: 'first', End: 'last' }) }[event.key];
  if (!move) return;
  event.preventDefault();
  moves[move]();
});
for (const radio of document.querySelectorAll('[name=view]')) {
  radio.addEventListener('change', () => {
    walk.view = radio.value;
    render();
  });
}
new ResizeObserver(render).observe($('stage'));

const costChart = lineChart('cost-chart', {
  columns: [frames.map((_, step) => step), frames.map((frame) => frame.J)],
  xLabel: 'training step',
  height: 190,
  y: (_, low, high) => [0, 1.05 * high],
  mark: () => walk.training,
  colours: ['--forward'],
});
function showTraining() {
  walk.training = Number($('training').value);
  const frame = frames[walk.training];
  $('training-text').textContent = `${walk.training} of ${frames.length - 1}: a2 = ${shown(frame.a2)}, J = ${shown(frame.J)}`;
  $('training').setAttribute('aria-valuetext', $('training-text').textContent);
  costChart.redraw(false);
  render();
}
$('training').max = frames.length - 1;
$('training').addEventListener('input', showTraining);

// ---- vanishing

$('vanishing').innerHTML = data.vanishing.map((gradient, i) =>
  `<li><span>Layer ${i + 1}</span><i style="width: ${(100 * gradient) / data.vanishing[0]}%"></i><b>${Number(gradient.toPrecision(6))}</b></li>`).join('');

// ---- the deep networks

const flow = { at: 0, layer: 1 };
const flowSteps = data.flows[0].steps;
const layers = data.flows[0].norms[0].length;
const normRange = () => [-22, 2];
const layerColumns = () => [
  Array.from({ length: layers }, (_, l) => l + 1),
  ...data.flows.map((network) => network.norms[flow.at]),
];
const timeColumns = () => [flowSteps, ...data.flows.map((network) => network.norms.map((norms) => norms[flow.layer - 1]))];

const layerChart = lineChart('layer-chart', {
  columns: layerColumns(), xLabel: 'layer', height: 340, y: normRange, yValues: powerOfTen, mark: () => null, widths: 2.5,
});
const timeChart = lineChart('time-chart', {
  columns: timeColumns(), xLabel: 'training step', height: 260, y: normRange, yValues: powerOfTen, mark: () => flowSteps[flow.at],
});
const lossChart = lineChart('loss-chart', {
  columns: [flowSteps, ...data.flows.map((network) => network.loss)],
  xLabel: 'training step', height: 260, y: (_, low, high) => [0, 1.05 * high], mark: () => flowSteps[flow.at],
});

const minus = (text) => text.replace('-', '−');
const log = (norm) => (norm === null ? '−∞' : minus(norm.toFixed(1)));
/** How many times smaller network i's first gradient is at layer 1 than at the last: one digit, or a power of ten. */
function lost(i) {
  const [first, last] = [data.flows[i].norms[0][0], data.flows[i].norms[0].at(-1)];
  return last - first < 4 ? String(Number((10 ** (last - first)).toPrecision(1))) : powerOfTen(Math.round(last - first));
}
$('sigmoid-loss').textContent = lost(0);
$('relu-loss').textContent = lost(1);
$('guess').textContent = data.guess.toFixed(2);
function showFlow() {
  flow.at = Number($('flow').value);
  $('flow-text').textContent = `${flowSteps[flow.at]} of ${flowSteps.at(-1)}`;
  $('flow').setAttribute('aria-valuetext', $('flow-text').textContent);
  layerChart.setData(layerColumns());
  timeChart.redraw(false);
  lossChart.redraw(false);
  $('flows').tBodies[0].innerHTML = data.flows.map((network, i) => {
    const norms = network.norms[flow.at];
    return `<tr><th scope="row">${swatch(i)}${network.name}</th>` +
      `<td>${log(norms[0])}</td><td>${log(norms.at(-1))}</td><td>${network.loss[flow.at].toFixed(2)}</td></tr>` +
      `<tr class="what"><td colspan="4">${network.what}</td></tr>`;
  }).join('');
}
function showLayer() {
  flow.layer = Number($('layer').value);
  $('layer-text').textContent = `${flow.layer} of ${layers}`;
  $('layer').setAttribute('aria-valuetext', $('layer-text').textContent);
  timeChart.setData(timeColumns());
}
$('flow').max = flowSteps.length - 1;
$('flow').addEventListener('input', showFlow);
$('layer').max = layers;
$('layer').addEventListener('input', showLayer);

showTraining();
showFlow();
showLayer();
