// Numbers and formulas as elements.
'use strict';

const data = JSON.parse(document.getElementById('data').textContent);
const $ = (id) => document.getElementById(id);
const mathNames = 'http://www.w3.org/1998/Math/MathML';

/** An element with attributes and children; children are text or elements. */
function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}
function mathElement(name, attributes = {}, ...children) {
  const made = document.createElementNS(mathNames, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

/** A number with so many significant digits; "NaN" and "∞" are texts. */
function shown(number, digits = 4) {
  if (typeof number !== 'number') return number;
  const size = Math.abs(number);
  let text = String(Number(number.toPrecision(digits)));
  if (size !== 0 && (size < 1e-3 || size >= 1e6)) text = String(number.toExponential(Math.min(digits - 1, 2))).replace('e+', 'e').replace(/\.?0+e/, 'e');
  return text.replaceAll('-', '−');
}
const shapeText = (shape) => (shape.length === 1 ? `(${shape[0]},)` : `(${shape.join(', ')})`);
const sizeOf = (line) => line.shape.reduce((product, n) => product * n, 1);
/** Whether the page has all numbers of a quantity. */
const isWhole = (line) => line.rows && line.rows.length * line.rows[0].length === sizeOf(line);

const shortName = (name) => (name.length > 26 ? `…${name.slice(-25)}` : name);
/** The line of a quantity's gradient, by the quantity's. */
const gradients = new Map(data.lines.flatMap((line, i) => (line.of === undefined ? [] : [[line.of, i]])));
/** The quantity whose node shows a line: itself, or what it is the gradient of, or that of the first which reads it. */
function ownerOf(i) {
  if (data.lines[i].part !== 'backward') return i;
  for (let reader = i; reader >= 0; reader = data.lines.findIndex((line, k) => k > reader && line.reads.includes(reader)))
    if (data.lines[reader].of !== undefined) return data.lines[reader].of;
  return null;
}
const groupOf = (line) => data.lines[ownerOf(data.lines.indexOf(line))]?.group;

/** The formula of a line, or its name alone, as MathML; as text where it could not be written so. */
function formulaOf(line, { nameOnly = false, block = false } = {}) {
  const content = nameOnly ? line.title : line.math;
  if (!content) return element('span', { class: 'plain' }, nameOnly || !line.text ? line.name : `${line.name} = ${line.text}`);
  const math = mathElement('math', block ? { displaystyle: 'true' } : {});
  math.innerHTML = content;
  // A long path is as short as on its node, where it is in the module that the line is in.
  for (const path of math.querySelectorAll('[data-q] > .tt')) {
    const of = data.lines[path.parentNode.dataset.q];
    path.textContent = of.group === groupOf(line) ? of.label : shortName(of.name);
  }
  return math;
}

const number = (value) => {
  const text = shown(value);
  return text.startsWith('−') ? mathElement('mrow', {}, mathElement('mo', {}, '−'), mathElement('mn', {}, text.slice(1))) : mathElement('mn', {}, text);
};
/** All numbers of a quantity within a formula. */
function matrix(line, inBrackets) {
  const { rows } = line;
  if (sizeOf(line) === 1) {
    const one = number(rows[0][0]);
    return inBrackets && shown(rows[0][0]).startsWith('−')
      ? mathElement('mrow', {}, mathElement('mo', { stretchy: 'false' }, '('), one, mathElement('mo', { stretchy: 'false' }, ')'))
      : one;
  }
  const table = mathElement('mtable', { class: 'matrix' }, ...rows.map((row) =>
    mathElement('mtr', {}, ...row.map((value) => mathElement('mtd', {}, number(value))))));
  return mathElement('mrow', {}, mathElement('mo', {}, '['), table, mathElement('mo', {}, ']'));
}

/** The formula with each name replaced; null where it has none or the formula is only text. */
function substituted(line, replace) {
  if (!line.math || !line.text) return null;
  const math = formulaOf(line, { block: true });
  const named = [...math.querySelectorAll('[data-q]')];
  if (named.length < 2) return null;
  named.forEach((name, i) => name.replaceChildren(replace(data.lines[name.dataset.q], i === 0)));
  return math;
}
const withShapes = (line) => substituted(line, (of) => mathElement('mtext', { class: 'size' }, shapeText(of.shape)));
/** With numbers, where all are few. */
function withNumbers(line) {
  const read = line.reads.map((i) => data.lines[i]);
  if (![line, ...read].every((of) => isWhole(of) && of.shape.length <= 2 && sizeOf(of) <= 16)) return null;
  const math = substituted(line, (of, isResult) => (isResult ? formulaOf(of, { nameOnly: true }).firstChild : matrix(of, true)));
  if (!math || math.querySelectorAll('mn').length > 64) return null;
  math.append(mathElement('mo', {}, '='), matrix(line, false));
  return math;
}

/** A quantity's first numbers as a table, coloured by sign and size. */
function numbersTable(line) {
  const figure = element('figure');
  const caption = element('figcaption', {}, formulaOf(line, { nameOnly: true }), ` ${shapeText(line.shape)}`);
  figure.append(caption);
  if (!line.rows) {
    caption.append(': numbers not known');
    return figure;
  }
  const rank = line.shape.length;
  const [rows, columns] = [rank < 2 ? 1 : line.shape[rank - 2], rank === 0 ? 1 : line.shape[rank - 1]];
  const leading = line.shape.slice(0, Math.max(0, rank - 2));
  if (leading.some((n) => n > 1)) caption.append(`, at [${leading.map(() => 0).join(', ')}]`);
  const most = Math.max(...line.rows.flat().map((value) => (typeof value === 'number' ? Math.abs(value) : 0)), Number.MIN_VALUE);
  const table = element('table', { class: 'numbers' });
  const digits = line.rows[0].length > 4 ? 3 : 4;
  line.rows.forEach((row, r) => {
    const cells = row.map((value, c) => {
      const cell = element('td', {}, shown(value, digits));
      const weight = typeof value === 'number' ? 0.42 * Math.abs(value) / most : 0;
      cell.style.setProperty('--sign', `var(--${value < 0 ? 'minus' : 'plus'})`);
      cell.style.setProperty('--weight', weight.toFixed(3));
      const index = [...leading.map(() => 0), ...(rank > 1 ? [r] : []), ...(rank > 0 ? [c] : [])];
      cell.dataset.readout = `${line.name}${index.length ? `[${index.join(', ')}]` : ''} = ${shown(value, 6)}`;
      return cell;
    });
    if (columns > row.length) cells.push(element('td', { class: 'more' }, '…'));
    table.append(element('tr', {}, ...cells));
  });
  if (rows > line.rows.length) {
    const width = line.rows[0].length + (columns > line.rows[0].length ? 1 : 0);
    table.append(element('tr', {}, ...Array.from({ length: width }, () => element('td', { class: 'more' }, '⋮'))));
  }
  figure.append(element('div', { class: 'scroll' }, table));
  if (sizeOf(line) > 1) figure.append(element('figcaption', {}, `norm ${shown(line.stats[0])}`));
  return figure;
}
