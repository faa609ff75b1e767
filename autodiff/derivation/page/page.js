// The steps, their controls, and the table.
'use strict';

/** Step 0 shows what is given; then each line that is computed is one. */
const steps = [null, ...data.lines.flatMap((line, i) => (line.part === 'given' ? [] : [i]))];
const stepOf = new Map(steps.map((line, step) => [line, step]));
const given = data.lines.filter((line) => line.part === 'given');
const phases = { forward: 'Forward', backward: 'Backward' };
let step = 0, timer = null;
const isKnown = (i) => data.lines[i].part === 'given' || stepOf.get(i) <= step;
const phaseOf = (line) => (line === null ? 'given' : data.lines[line].part);

function show() {
  const at = steps[step], line = at === null ? null : data.lines[at];
  const phase = phaseOf(at);
  const group = line ? groupOf(line) : undefined;
  // Where a module is open, the walk opens the next one that it comes to.
  if (graph.open >= 0 && group !== undefined && group !== graph.open) openView(group);
  graph.state = { line: at, isKnown };
  colour();

  $('slider').value = step + 1;
  $('count').textContent = `${step + 1} of ${steps.length}`;
  $('slider').setAttribute('aria-valuetext', `${step + 1} of ${steps.length}: ${line ? line.name : 'given'}`);
  $('phase').textContent = line ? phases[phase] : 'Given';
  $('phase').className = $('formula').className = phase;
  $('formula').classList.add('scroll');
  const where = line ? [line.operation, data.groups[group]?.name] : [count(given.length, 'quantity', 'quantities')];
  $('operation').textContent = where.filter(Boolean).map((part) => `· ${part}`).join(' ');
  for (const id of ['first', 'back']) $(id).setAttribute('aria-disabled', step === 0);
  for (const id of ['next', 'last']) $(id).setAttribute('aria-disabled', step === steps.length - 1);
  if (line) showLine(line, at); else showGiven();
  $('summary').textContent = line ? `${phases[phase]}, step ${step + 1} of ${steps.length}: ${line.name} = ${line.text}` : 'What is given';
  $('readout').textContent = '\u00a0';
  for (const row of $('quantities').tBodies[0].rows) {
    const isNow = at !== null && (Number(row.dataset.line) === at || gradients.get(Number(row.dataset.line)) === at);
    row.classList.toggle('now', isNow);
    row.classList.toggle('back', isNow && phase === 'backward');
  }
}

function showLine(line, at) {
  $('formula').replaceChildren(formulaOf(line, { block: true }));
  const readings = [['with shapes', sizeOf(line) > 1 || line.reads.some((i) => sizeOf(data.lines[i]) > 1) ? withShapes(line) : null], ['with numbers', withNumbers(line)]];
  $('readings').replaceChildren(...readings.flatMap(([name, math]) => (math ? [element('dt', {}, name), element('dd', {}, math)] : [])));
  const names = (lines) => lines.map((i) => data.lines[i].name).join(', ');
  const readers = line.of === undefined ? [] : readersOf(line.of);
  $('route').textContent = line.part === 'forward' ? ''
    : readers.length ? `${data.lines[line.of].name} acts on the loss through ${names(readers)}: from there its gradient comes back${readers.length > 1 ? ', and is added up' : ''}.`
      : 'An intermediate result, which several gradients use.';
  const result = numbersTable(line);
  result.className = `result ${line.part}`;
  $('matrices').replaceChildren(result, ...line.reads.map((i) => numbersTable(data.lines[i])));
}

function showGiven() {
  $('formula').replaceChildren(element('span', { class: 'plain' }, given.map((line) => line.name).slice(0, 24).join(', ') + (given.length > 24 ? ', …' : '')));
  $('readings').replaceChildren();
  $('route').textContent = given.length > 6 ? 'The first of them; all are in the table below.' : '';
  $('matrices').replaceChildren(...given.slice(0, 6).map(numbersTable));
}

function go(to, { keepsPlaying = false } = {}) {
  if (!keepsPlaying) play(false);
  step = Math.max(0, Math.min(steps.length - 1, to));
  show();
  try {
    history.replaceState(null, '', `#step=${step + 1}`);
  } catch { /* a page without an address of its own */ }
}
function play(on) {
  clearInterval(timer);
  timer = null;
  if (on) {
    if (step === steps.length - 1) go(0);
    timer = setInterval(() => {
      go(step + 1, { keepsPlaying: true });
      if (step === steps.length - 1) play(false);
    }, 1500);
  }
  $('play').textContent = on ? 'Pause' : 'Play';
  $('play').setAttribute('aria-pressed', on);
}
const moves = {
  first: () => go(0), back: () => go(step - 1), next: () => go(step + 1), last: () => go(steps.length - 1),
  play: () => play(timer === null),
};
for (const [id, move] of Object.entries(moves)) $(id).addEventListener('click', move);
$('slider').max = steps.length;
$('slider').addEventListener('input', () => go(Number($('slider').value) - 1));
const keys = { ArrowLeft: 'back', ArrowRight: 'next', Home: 'first', End: 'last', ' ': 'play' };
document.addEventListener('keydown', (event) => {
  if (event.altKey || event.ctrlKey || event.metaKey || event.target.matches('input')) return;
  const group = event.target.closest('.folded');
  if (group && (event.key === 'Enter' || event.key === ' ')) {
    event.preventDefault();
    openGroup(group);
    return;
  }
  if (event.key === 'Escape' && graph.open !== folded) {
    openView(folded);
    colour();
  }
  if (!keys[event.key] || (event.key === ' ' && event.target.matches('button'))) return;
  event.preventDefault();
  moves[keys[event.key]]();
});

function openGroup(node) {
  openView(-1 - Number(node.dataset.node));
  colour();
  $('fold').focus();
}
$('stage').addEventListener('click', (event) => {
  const node = event.target.closest('.node');
  if (!node) return;
  const id = Number(node.dataset.node);
  if (id < 0) openGroup(node);
  else goToLine(id);
});
/** To the step of a quantity, or, on the way back, to that of its gradient. */
function goToLine(i) {
  const back = phaseOf(steps[step]) === 'backward' ? gradients.get(i) : undefined;
  const to = stepOf.get(back ?? i) ?? stepOf.get(gradients.get(i));
  go(to ?? 0);
}
$('panel').addEventListener('click', (event) => {
  const name = event.target.closest('[data-q]');
  if (name) goToLine(Number(name.dataset.q));
});
for (const kind of ['pointerover', 'click'])
  $('matrices').addEventListener(kind, (event) => {
    const text = event.target.closest('[data-readout]')?.dataset.readout;
    if (text) $('readout').textContent = text;
  });

// ---- the table

const statistic = (i) => (line) => line.stats?.[i] ?? null;
const columns = [
  { title: 'name', key: (line) => line.name },
  { title: 'shape', key: (line) => sizeOf(line), cell: (line) => shapeText(line.shape) },
  { title: '‖x‖', label: 'norm', key: statistic(0) },
  { title: '‖∂‖', label: 'norm of the gradient', name: 'gradient', key: (line, i) => data.lines[gradients.get(i)]?.stats?.[0] ?? null },
  { title: 'min', key: statistic(1) },
  { title: 'max', key: statistic(2) },
  { title: 'mean', key: statistic(3) },
  { title: 'formula', key: (line) => line.text, cell: (line) => (line.text ? formulaOf(line) : '') },
];
const rows = data.lines.flatMap((line, i) => {
  if (line.part === 'backward' && line.of !== undefined) return [];
  const go = element('button', { type: 'button' }, line.name);
  go.addEventListener('click', () => goToLine(i));
  const values = columns.map((column) => column.key(line, i));
  const cells = columns.slice(1).map((column, c) =>
    element('td', { class: column.name ?? '' }, column.cell?.(line) ?? (values[c + 1] === null ? '' : shown(values[c + 1]))));
  const row = element('tr', { 'data-line': i }, element('th', { scope: 'row' }, go), ...cells);
  return [{ row, values, name: line.name.toLowerCase() }];
});
let sorted = { column: null, down: false };
function fillTable() {
  const wanted = $('filter').value.trim().toLowerCase();
  const seen = rows.filter(({ name }) => name.includes(wanted));
  if (sorted.column !== null) {
    const value = (row) => row.values[sorted.column];
    seen.sort((a, b) => (sorted.down ? -1 : 1) * (typeof value(a) === 'number' && typeof value(b) === 'number' ? value(a) - value(b) : String(value(a) ?? '').localeCompare(String(value(b) ?? ''))));
  }
  $('quantities').tBodies[0].replaceChildren(...seen.map(({ row }) => row));
  [...$('quantities').tHead.rows[0].cells].forEach((cell, i) => {
    cell.setAttribute('aria-sort', sorted.column !== i ? 'none' : sorted.down ? 'descending' : 'ascending');
  });
}
columns.forEach((column, i) => {
  const button = element('button', { type: 'button', ...(column.label ? { 'aria-label': column.label } : {}) }, column.title);
  button.addEventListener('click', () => {
    // Up, down, then as the lines are.
    sorted = sorted.column !== i ? { column: i, down: false } : sorted.down ? { column: null, down: false } : { column: i, down: true };
    fillTable();
  });
  $('quantities').tHead.rows[0].append(element('th', { scope: 'col' }, button));
});
$('filter').addEventListener('input', fillTable);
fillTable();

const parts = ['given', 'forward', 'backward'].map((part) => data.lines.filter((line) => line.part === part).length);
$('facts').textContent = `${parts[0]} given, ${parts[1]} forward, ${parts[2]} backward.`;
$('unknown').textContent = data.lines.some((line) => !line.stats && sizeOf(line))
  ? 'Numbers are left out: the recording does not hold all that was given. Name the data and the parameters in derivation(loss, {{"x", x}, …}), and they are shown.' : '';
$('unknown').hidden = !$('unknown').textContent;

function fromAddress() {
  const wanted = Number(new URLSearchParams(location.hash.slice(1)).get('step'));
  go(Number.isInteger(wanted) && wanted > 0 ? wanted - 1 : 0);
}
addEventListener('hashchange', fromAddress);
new ResizeObserver(fit).observe($('stage'));
openView(folded);
if (location.hash) fromAddress(); else show();
