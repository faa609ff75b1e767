// The pages of Derivation::html() and of examples/visualize_backpropagation in headless Chromium.
//   node test_page.mjs EXAMPLE WRITE_PAGES CHROMIUM     in a folder that has playwright-core
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';

import { chartTests } from './test_charts.mjs';
import { eventually, launch, noSidewaysScroll, run, slide, text, withPage } from './pages.mjs';

const [example, writePages, executablePath] = process.argv.slice(2);
const folder = mkdtempSync(path.join(tmpdir(), 'xtape-page-'));
const printed = execFileSync(example, ['--out', folder], { encoding: 'utf8' });
execFileSync(writePages, [folder]);
const browser = await launch(executablePath);
const open = (name, options, body) => withPage(browser, path.join(folder, `${name}.html`), options, body);

/** The lines that the example prints of its first step: name, formula, numbers. */
const lines = printed.split('\n').filter((line) => line.startsWith('  ') && line.includes(' = ')).map((line) => {
  const [name, ...rest] = line.trim().split(' = ');
  return { name, formula: rest.slice(0, -1).join(' = '), numbers: rest.at(-1).replace(/[[\]]/g, '').split(/[;,] /).map(Number) };
});
const steps = lines.filter(({ formula }) => formula);
const at = (page) => text(page, '#count');
const numbers = (page, figure) => page.locator(`#matrices figure${figure} td`).allTextContents();
const number = (shown) => Number(shown.replaceAll('−', '-'));
const active = (page) => page.locator('#stage .node.active').evaluateAll((nodes) => nodes.map((node) => node.querySelector('.name').textContent));
const edges = (page, kind) => page.locator(`#stage .edge.active.${kind}`).count();
const nodes = (page) => page.locator('#stage .node .name').allTextContents();

/** Texts of nodes that stick out of their boxes, and nodes that lie over others. */
const misplaced = (page) => page.evaluate(() => {
  const boxes = [...document.querySelectorAll('#stage .node')].map((node) => ({ node, box: node.querySelector('rect:not(.below)').getBoundingClientRect() }));
  const wrong = [];
  boxes.forEach(({ node, box }, i) => {
    for (const line of node.querySelectorAll('text')) {
      const { left, right } = line.getBoundingClientRect();
      if (line.textContent && (left < box.left - 0.5 || right > box.right + 0.5)) wrong.push(`${line.textContent} sticks out`);
    }
    for (const { node: other, box: its } of boxes.slice(0, i))
      if (box.left < its.right - 1 && its.left < box.right - 1 && box.top < its.bottom - 1 && its.top < box.bottom - 1)
        wrong.push(`${node.textContent} lies over ${other.textContent}`);
  });
  return wrong;
});

/** Texts with less contrast to what is behind them than WCAG's 4.5. */
const faint = (page) => page.evaluate(() => {
  const parse = (colour) => (colour.match(/[\d.]+/g) ?? [0, 0, 0, 0]).map(Number);
  const over = ([r, g, b, a = 1], below) => [r, g, b].map((c, i) => c * a + below[i] * (1 - a));
  const behind = (element) => {
    const own = parse(getComputedStyle(element).backgroundColor);
    return (own[3] ?? 1) === 1 || !element.parentElement ? own.slice(0, 3) : over(own, behind(element.parentElement));
  };
  const light = (colour) => colour.map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4)).reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const wrong = [];
  for (const element of document.querySelectorAll('p, td, th, button:not([aria-disabled=true]), output, figcaption, dt, h1, h2, #stage text')) {
    if (!element.textContent.trim() || element.closest('.unseen')) continue;
    const rect = element.closest('.node')?.querySelector('rect:not(.below)');
    const ground = rect ? parse(getComputedStyle(rect).fill).slice(0, 3) : behind(element);
    const text = over(parse(rect ? getComputedStyle(element).fill : getComputedStyle(element).color), ground);
    const [high, low] = [light(text), light(ground)].sort((a, b) => b - a);
    if ((high + 0.05) / (low + 0.05) < 4.5) wrong.push(`${element.tagName} ${element.textContent.trim().slice(0, 20)}: ${((high + 0.05) / (low + 0.05)).toFixed(2)}`);
  }
  return [...new Set(wrong)];
});

const tests = {
  async 'the keyboard walks through all steps: each formula is MathML, each number is the printed one'() {
    await open('first_step', {}, async (page) => {
      assert.equal(await at(page), `1 of ${steps.length + 1}`);
      assert.equal(await text(page, '#phase'), 'Given');
      for (const [i, { name, formula, numbers: expected }] of steps.entries()) {
        await page.keyboard.press('ArrowRight');
        assert.equal(await at(page), `${i + 2} of ${steps.length + 1}`);
        assert.ok((await text(page, '#summary')).endsWith(`: ${name} = ${formula}`), name);
        assert.equal(await page.locator('#formula math mo').first().textContent(), '=');
        assert.equal(await page.locator('#panel .plain').count(), 0, `${name} is only text`);
        const shown = (await numbers(page, '.result')).map(number);
        assert.equal(shown.length, expected.length, name);
        shown.forEach((value, k) => assert.ok(Math.abs(value - expected[k]) <= 0.00051, `${name}: ${value}, printed ${expected[k]}`));
      }
      await page.keyboard.press('ArrowRight');
      assert.equal(await page.locator('#next').getAttribute('aria-disabled'), 'true');
      await page.keyboard.press('Home');
      assert.equal(await at(page), `1 of ${steps.length + 1}`);
      assert.equal(await page.locator('#back').getAttribute('aria-disabled'), 'true');
      await page.keyboard.press('End');
      await page.keyboard.press('ArrowLeft');
      assert.equal(await at(page), `${steps.length} of ${steps.length + 1}`);
    });
  },

  async 'a formula is shown with shapes and with numbers'() {
    const step = steps.findIndex(({ name }) => name === 'z1') + 2;
    await open('first_step', { at: `#step=${step}` }, async (page) => {
      assert.deepEqual(await page.locator('#readings dt').allTextContents(), ['with shapes', 'with numbers']);
      const [shapes, values] = (await page.locator('#readings dd').allTextContents()).map((row) => row.replace(/\s+/g, ''));
      assert.equal(shapes, '(1,2)=(1,2)(2,2)⊤+(2,)');
      assert.equal(values, 'z1=[10.5][0.40.10.10.2]⊤+[0.050.1]=[0.50.3]');
    });
  },

  async 'the drawing marks the node, the edges that are gone along, and fills in values and gradients'() {
    await open('first_step', {}, async (page) => {
      const go = async (name) => slide(page, '#slider', steps.findIndex((step) => step.name === name) + 2);
      const node = (name) => page.locator('#stage .node').filter({ has: page.locator(`.name:text-is("${name}")`) });
      await go('z1');
      assert.deepEqual(await active(page), ['z1']);
      assert.equal(await edges(page, 'forward'), 3);
      assert.equal(await node('z1').locator('.value').textContent(), '0.5, 0.3');
      assert.equal(await node('a1').locator('.value').textContent(), '(1, 2)');
      await go('δ1');
      assert.deepEqual(await active(page), ['z1']);
      assert.equal(await edges(page, 'forward'), 0);
      assert.equal(await edges(page, 'backward'), 1);
      assert.equal(await node('z1').locator('.gradient').textContent(), '∂ −0.00788, −0.00691');
      assert.equal(await node('W1').locator('.gradient').textContent(), '');
      assert.match(await text(page, '#route'), /^z1 acts on the loss through a1:/);
      await go('dJ/dW1');
      assert.match(await node('W1').locator('.gradient').textContent(), /^∂ ‖0.0117‖$/);
      assert.deepEqual(await misplaced(page), []);
      assert.equal(await node('x').getAttribute('class').then((list) => list.includes('returned')), false);
    });
  },

  async 'buttons, slider, address, clicks on nodes and names, and play'() {
    await open('first_step', { at: '#step=4' }, async (page) => {
      const count = steps.length + 1;
      assert.equal(await at(page), `4 of ${count}`);
      for (const [id, expected] of [['next', 5], ['back', 4], ['last', count], ['first', 1], ['next', 2]]) {
        await page.click(`#${id}`);
        assert.equal(await at(page), `${expected} of ${count}`);
        assert.ok(page.url().endsWith(`#step=${expected}`));
      }
      await page.evaluate(() => { location.hash = '#step=7'; });
      await eventually(async () => assert.equal(await at(page), `7 of ${count}`));
      for (const odd of ['0', '-3', '1e9', 'x', '']) {
        await page.evaluate((step) => { location.hash = `#step=${step}`; }, odd);
        await eventually(async () => assert.equal(await at(page), odd === '1e9' ? `${count} of ${count}` : `1 of ${count}`));
      }
      await page.locator('#stage .node').filter({ hasText: 'a2' }).first().click();
      assert.deepEqual(await active(page), ['a2']);
      await page.locator('#formula [data-q]').last().click();
      assert.deepEqual(await active(page), ['z2']);
      await page.locator('body').press('Space');
      assert.equal(await text(page, '#play'), 'Pause');
      const before = await at(page);
      await eventually(async () => assert.notEqual(await at(page), before));
      await page.locator('body').press('Space');
      assert.equal(await text(page, '#play'), 'Play');
    });
  },

  async 'the slider takes the arrows when it has the focus; all controls are reached and outlined'() {
    await open('first_step', {}, async (page) => {
      await page.focus('#slider');
      await page.keyboard.press('ArrowRight');
      assert.equal(await at(page), `2 of ${steps.length + 1}`);
      assert.match(await page.locator('#slider').getAttribute('aria-valuetext'), /^2 of \d+: z1$/);
      await page.locator('body').evaluate(() => document.activeElement.blur());
      const order = [];
      for (let i = 0; i < 7; ++i) {
        await page.keyboard.press('Tab');
        order.push(await page.evaluate(() => document.activeElement.id));
        assert.equal(await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle), 'solid', order.at(-1));
      }
      assert.deepEqual(order, ['stage', 'filter', 'all', '', '', '', '']);
      for (const id of ['first', 'back', 'play', 'next', 'last']) assert.ok(await page.locator(`#${id}`).evaluate((b) => b.ariaLabel || b.textContent.trim()));
    });
  },

  async 'a number tells its index and its digits, by mouse and by touch'() {
    for (const hasTouch of [false, true])
      await open('first_step', { hasTouch, at: `#step=${steps.length}` }, async (page) => {
        const cell = page.locator('#matrices .result td').nth(1);
        await (hasTouch ? cell.tap() : cell.hover());
        assert.match(await text(page, '#readout'), /^dJ\/dW1\[0, 1\] = −0\.0039\d+$/);
      });
  },

  async 'the table has norms and those of the gradients; it is filtered and sorted'() {
    await open('first_step', {}, async (page) => {
      const names = () => page.locator('#quantities tbody th').allTextContents();
      const all = lines.filter(({ name }) => !/^(δ|dJ\/)/.test(name)).map(({ name }) => name);
      assert.deepEqual(await names(), all);
      const row = page.locator('#quantities tr').filter({ has: page.locator('button:text-is("W2")') });
      const [shape, norm, gradient] = await row.locator('td').allTextContents();
      const length = (name) => Math.hypot(...lines.find((line) => line.name === name).numbers);
      assert.equal(shape, '(1, 2)');
      assert.ok(Math.abs(number(norm) - length('W2')) < 0.001);
      assert.ok(Math.abs(number(gradient) - length('dJ/dW2')) < 0.001);
      await page.fill('#filter', 'w');
      assert.deepEqual(await names(), ['W1', 'W2']);
      await page.fill('#filter', '');
      await page.click('#quantities thead button:has-text("min")');
      const least = (await page.locator('#quantities tbody td:nth-child(5)').allTextContents()).map(number);
      assert.deepEqual(least, [...least].sort((a, b) => a - b));
      assert.equal(await page.locator('#quantities th[aria-sort=ascending]').textContent(), 'min');
      await page.click('#quantities tbody button:text-is("a1")');
      assert.deepEqual(await active(page), ['a1']);
    });
  },

  async 'a transformer block is folded by module: opened by click and key, followed, and folded again'() {
    assert.ok(statSync(path.join(folder, 'block.html')).size < 1.5e6);
    await open('block', {}, async (page) => {
      const folded = await nodes(page);
      assert.ok(folded.length <= 20 && folded.some((name) => name.startsWith('0.attention')), folded.join());
      assert.deepEqual(await misplaced(page), []);
      const module = folded.find((name) => name.startsWith('0.attention'));
      const query = page.locator('#stage .folded').filter({ hasText: module });
      assert.equal(await query.getAttribute('aria-expanded'), 'false');
      await query.focus();
      await page.keyboard.press('Enter');
      assert.ok((await nodes(page)).length > folded.length && !(await nodes(page)).includes(module));
      assert.equal(await page.evaluate(() => document.activeElement.id), 'fold');
      assert.deepEqual(await misplaced(page), []);
      // The walk opens the module that it comes to.
      const seen = new Set();
      for (let i = 0; i < 20; ++i) {
        await page.keyboard.press('ArrowRight');
        seen.add(await page.locator('#folds span').textContent());
        assert.equal((await active(page)).length, 1);
      }
      assert.ok([...seen].some((name) => name.startsWith('0.attention')), [...seen].join());
      await page.keyboard.press('Escape');
      assert.deepEqual(await nodes(page), folded);
      await page.click('#open-all');
      assert.ok((await nodes(page)).length > folded.length);
      assert.deepEqual(await misplaced(page), []);
      await page.click('#fold');
      await page.locator('#stage .folded').first().click();
      assert.notDeepEqual(await nodes(page), folded);
    });
  },

  async 'without Graphviz nodes are apart as well, and all else is the same'() {
    const plain = path.join(folder, 'plain');
    mkdirSync(plain);
    execFileSync(writePages, [plain], { env: { ...process.env, PATH: '' } });
    for (const name of ['block', 'convolutions'])
      await open(`plain/${name}`, {}, async (page) => {
        const views = await page.evaluate(() => data.views.length);
        for (let view = 0; view < views; ++view) {
          await page.evaluate((i) => { openView(data.views[i].open); colour(); }, view);
          assert.deepEqual(await misplaced(page), []);
        }
        const own = await page.evaluate(() => data.lines);
        await open(name, {}, async (other) => assert.deepEqual(await other.evaluate(() => data.lines), own));
      });
  },

  async 'every step of every page has a formula, a node and its numbers'() {
    for (const name of ['block', 'convolutions', 'last_step', 'odd'])
      await open(name, {}, async (page) => {
        const wrong = await page.evaluate(() => steps.flatMap((line, i) => {
          go(i);
          if (line === null) return [];
          const isRight = document.querySelector('#formula math') && document.querySelectorAll('#stage .active').length > 0 && document.querySelectorAll('#matrices .result td').length > 0;
          return isRight ? [] : [data.lines[line].name];
        }));
        assert.deepEqual(wrong, [], name);
      });
  },

  async 'names and titles of any kind are shown as they are; without values the page says why'() {
    await open('odd', {}, async (page) => {
      assert.equal(await text(page, 'h1'), 'Odd <names> & "titles"');
      assert.equal(await page.title(), 'Odd <names> & "titles"');
      assert.ok((await page.locator('#quantities tbody th').allTextContents()).includes('</script><b>"\'&'));
      assert.equal(await page.locator('#quantities b').count(), 0);
      assert.equal(await page.locator('#unknown').isVisible(), false);
    });
    await open('unknown', { at: '#step=2' }, async (page) => {
      assert.match(await text(page, '#unknown'), /^Numbers are left out: /);
      assert.match(await text(page, '#matrices'), /numbers not known/);
    });
  },

  async 'narrow screens need no sideways scrolling, at any step'() {
    for (const [name, width] of [['first_step', 320], ['first_step', 360], ['first_step', 768], ['block', 360]])
      await open(name, { viewport: { width, height: 740 } }, async (page) => {
        const tooWide = await page.evaluate(() => steps.map((_, i) => (go(i), document.documentElement.scrollWidth)).filter((w) => w > innerWidth));
        assert.deepEqual(tooWide, [], `${name} at ${width}`);
        const size = await page.locator('#stage .name').first().evaluate((label) => parseFloat(getComputedStyle(label).fontSize) * label.getScreenCTM().a);
        assert.ok(size >= 9.9, `${size} px`);
      });
  },

  async 'dark and light, every text can be read'() {
    for (const colorScheme of ['light', 'dark'])
      for (const name of ['first_step', 'block'])
        await open(name, { colorScheme, at: '#step=16' }, async (page) => {
          assert.deepEqual(await faint(page), [], colorScheme);
          const ground = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
          assert.equal(number(ground.match(/\d+/)[0]) < 128, colorScheme === 'dark');
        });
  },

  ...chartTests(open, printed),
};

const status = await run(tests, browser);
rmSync(folder, { recursive: true });
process.exit(status);
