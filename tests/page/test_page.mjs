// The page of examples/visualize_backpropagation in headless Chromium: what it shows is what the program prints.
//   node test_page.mjs PROGRAM CHROMIUM     in a folder that has playwright-core
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const { chromium } = createRequire(path.join(process.cwd(), 'package.json'))('playwright-core');
const [program, executablePath] = process.argv.slice(2);
const folder = mkdtempSync(path.join(tmpdir(), 'xtape-page-'));
const file = path.join(folder, 'backpropagation.html');
const printed = execFileSync(program, ['--out', folder], { encoding: 'utf8' });
const data = JSON.parse(readFileSync(file, 'utf8').match(/<script type="application\/json" id="data">(.*?)<\/script>/s)[1]);

const browser = await chromium.launch({
  executablePath,
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync'],
});

/** Opens the page, runs `body`, and checks that nothing was complained about and nothing asked of a network. */
async function withPage(options, body) {
  const page = await browser.newPage({ viewport: { width: 1280, height: 900 }, ...options });
  page.setDefaultTimeout(5000);
  const complaints = [], requests = [];
  page.on('console', (message) => ['error', 'warning'].includes(message.type()) && complaints.push(message.text()));
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('request', (request) => /^(file|data):/.test(request.url()) || requests.push(request.url()));
  await page.goto(pathToFileURL(file).href);
  try {
    await body(page);
    assert.deepEqual(complaints, []);
    assert.deepEqual(requests, []);
  } finally {
    await page.close();
  }
}

const text = async (page, selector) => (await page.locator(selector).textContent()).replace(/\s+/g, ' ').trim();
const lines = async (page) => (await page.locator('#lines p').allTextContents()).map((line) => line.replace(/\s+/g, ' ').trim());
const drawn = (page) => page.locator('#stage text').allTextContents();
/** A click, also on a button that is said to be disabled. */
const press = (page, id) => page.click(id, { force: true });
const slide = (page, id, value) => page.locator(id).fill(String(value));
const noSidewaysScroll = async (page) => assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
/** The titles and lines that the program printed for the walk, from its first line to the first empty one. */
const walk = printed.slice(0, printed.indexOf('\n\n')).split('\n').map((line) => line.trim());

const tests = {
  async 'each step shows what the program prints, forwards and backwards'() {
    await withPage({}, async (page) => {
      const seen = [];
      for (let i = 0; i < data.steps.network.length; ++i) {
        seen.push([await text(page, '#title'), ...(await lines(page))]);
        assert.equal(await text(page, '#count'), `· ${i + 1} of ${data.steps.network.length}`);
        await press(page, '#next');
      }
      assert.deepEqual(seen.flat(), walk);
      assert.equal(await page.locator('#next').getAttribute('aria-disabled'), 'true');
      for (let i = data.steps.network.length - 1; i >= 0; --i) {
        assert.deepEqual([await text(page, '#title'), ...(await lines(page))], seen[i]);
        await press(page, '#back');
      }
      assert.equal(await page.locator('#back').getAttribute('aria-disabled'), 'true');
    });
  },

  async 'the drawing fills with values, then with gradients, and marks the step'() {
    await withPage({}, async (page) => {
      assert.ok(!(await drawn(page)).includes('0.646'));
      for (let i = 0; i < 9; ++i) await press(page, '#next');
      assert.equal(await text(page, '#title'), 'Step 2: output delta');
      assert.ok((await drawn(page)).includes('0.646'));
      assert.ok((await drawn(page)).includes('δ −0.035'));
      assert.ok(!(await drawn(page)).includes('δ −0.008'));
      assert.equal(await page.locator('#stage .node.active').getAttribute('data-key'), 'z2');
      assert.equal(await page.locator('#stage .edge.active').getAttribute('data-key'), 'z2→a2');
      await press(page, '#last');
      for (const label of ['δ −0.008', 'δ −0.007', '∂ −0.022', '∂ −0.020', '∂ −0.004', '∂ −0.003'])
        assert.ok((await drawn(page)).includes(label), label);
    });
  },

  async 'a weight stands at its edge, by name, legible on narrow screens too, and its number is in the table'() {
    for (const width of [1280, 360])
      await withPage({ viewport: { width, height: 800 }, reducedMotion: 'reduce' }, async (page) => {
        await press(page, '#last');
        const labels = await page.locator('#stage .edge:has(text)').evaluateAll((edges) => {
          const paths = [...document.querySelectorAll('#stage .edge path')];
          const distance = (path, box) => {
            const at = path.getScreenCTM();
            return Math.min(...Array.from({ length: 101 }, (_, i) => {
              const { x, y } = path.getPointAtLength((i / 100) * path.getTotalLength()).matrixTransform(at);
              return Math.hypot(Math.max(box.left - x, 0, x - box.right), Math.max(box.top - y, 0, y - box.bottom));
            }));
          };
          return edges.map((edge) => {
            const boxes = [...edge.querySelectorAll('text')].map((line) => line.getBoundingClientRect());
            const box = {
              left: Math.min(...boxes.map((b) => b.left)), right: Math.max(...boxes.map((b) => b.right)),
              top: Math.min(...boxes.map((b) => b.top)), bottom: Math.max(...boxes.map((b) => b.bottom)),
            };
            const text = edge.querySelector('text'), arrow = edge.querySelector('polygon'), path = edge.querySelector('path');
            return {
              name: text.textContent.trim().split(' ')[0],
              size: parseFloat(getComputedStyle(text).fontSize) * text.getScreenCTM().a,
              nearer: paths.filter((other) => distance(other, box) + 8 < distance(path, box)).map((other) => other.parentNode.dataset.key),
              sameColour: getComputedStyle(arrow).fill === getComputedStyle(path).stroke,
            };
          });
        });
        assert.deepEqual(labels.map(({ name }) => name).sort(), ['W1₁₁', 'W1₁₂', 'W1₂₁', 'W1₂₂', 'W2₁', 'W2₂', 'b1₁', 'b1₂', 'b2'].sort());
        for (const { name, size, sameColour, nearer } of labels) {
          assert.ok(size >= 11, `${name}: ${size} px at ${width}`);
          assert.ok(sameColour, name);
          assert.deepEqual(nearer, [], `${name} stands nearer to others at ${width}`);
        }
        assert.equal(await page.locator('#narrow').isVisible(), width === 360);
        assert.ok((await page.locator('#quantities').textContent()).includes('[[0.400, 0.100], [0.100, 0.200]]'));
      });
  },

  async 'every node and edge that a step names is found in both drawings'() {
    for (const width of [1280, 360])
      await withPage({ viewport: { width, height: 800 } }, async (page) => {
        for (const view of ['network', 'graph']) {
          await page.locator(`[name=view][value=${view}]`).check({ force: true });
          for (const step of data.steps[view]) {
            const keys = await page.locator('#stage .active').evaluateAll((groups) => groups.map((g) => g.dataset.key));
            assert.deepEqual(keys.sort(), [...step.nodes, ...step.edges].sort(), `${view}, ${step.title}`);
            await press(page, '#next');
          }
        }
      });
  },

  async 'the recorded graph ends with the same gradients as the network'() {
    await withPage({}, async (page) => {
      const table = () => page.locator('#quantities td').allTextContents();
      await press(page, '#last');
      const network = await table();
      await page.locator('[name=view][value=graph]').check({ force: true });
      assert.equal(await text(page, '#count'), `· 1 of ${data.steps.graph.length}`);
      await press(page, '#last');
      assert.deepEqual(await table(), network);
      assert.ok(network.includes('[[−0.008, −0.004], [−0.007, −0.003]]'));
      assert.ok((await drawn(page)).includes('linear'));
    });
  },

  async 'the slider shows other training steps, the last one as printed'() {
    await withPage({}, async (page) => {
      const last = data.frames.rows.length - 1;
      await slide(page, '#training', last);
      const [, steps, a2, J] = printed.match(/after (\d+) training steps: a2 = (\S+), J = (\S+)/);
      assert.equal(await text(page, '#training-text'), `${steps} of ${last}: a2 = ${a2}, J = ${J}`);
      await press(page, '#last');
      assert.ok((await page.locator('#quantities td').allTextContents()).includes(a2));
      const updated = (await lines(page))[1].split(' = ').at(-1);  // b2 after step 0 is b2 of step 1
      await slide(page, '#training', 0);
      const b2 = (await lines(page))[1].split(' = ').at(-1);
      assert.notEqual(b2, updated);
      await slide(page, '#training', 1);
      assert.equal(await page.locator('#quantities tr:has(th:text-is("b2")) td').first().textContent(), b2);
    });
  },

  async 'vanishing, and the deep networks before and after training, are as printed'() {
    await withPage({}, async (page) => {
      const factors = printed.match(/each multiply by \S+: (.*)/)[1].split(' ');
      assert.deepEqual(await page.locator('#vanishing b').allTextContents(), factors);
      const rows = printed.split('\n').filter((line) => /^(Sigmoid|ReLU|Xavier|Residual|Batch norm) /.test(line));
      assert.equal(rows.length, 10);  // before training, then after it
      const shown = async () =>
        (await page.locator('#flows tbody tr:not(.what) td').allTextContents()).map((cell) => cell.replace('−', '-'));
      const columns = rows.map((row) => row.slice(11).trim().split(/\s+/));
      assert.deepEqual(await shown(), columns.slice(0, 5).flat());
      assert.equal(await text(page, '#guess'), printed.match(/share of points inside: (\S+)/)[1]);
      const lost = columns.slice(0, 2).map(([first, last]) => last - first);  // powers of ten, of sigmoid and ReLU
      assert.equal(await text(page, '#sigmoid-loss'), '10¹⁹');
      assert.equal(Math.round(lost[0]), 19);
      assert.ok(Math.abs(Math.log10(await text(page, '#relu-loss')) - lost[1]) < 0.2);
      await slide(page, '#flow', data.flows[0].steps.length - 1);
      assert.deepEqual(await shown(), columns.slice(5).flat());
      await slide(page, '#layer', 20);
      assert.equal(await text(page, '#layer-text'), '20 of 20');
    });
  },

  async 'charts are drawn, and the sliders change them'() {
    await withPage({}, async (page) => {
      const pixels = (id) => page.locator(`${id} canvas`).evaluate((canvas) => canvas.toDataURL());
      for (const [slider, id] of [['#training', '#cost-chart'], ['#flow', '#layer-chart'], ['#layer', '#time-chart'], ['#flow', '#loss-chart']]) {
        const before = await pixels(id);
        await slide(page, slider, slider === '#layer' ? 15 : 40);
        await page.waitForTimeout(50);
        assert.notEqual(await pixels(id), before, id);
        await slide(page, slider, slider === '#layer' ? 1 : 0);
      }
    });
  },

  async 'everything works by keyboard, in the order of the page'() {
    await withPage({}, async (page) => {
      await page.keyboard.press('ArrowRight');
      assert.equal(await text(page, '#title'), 'Hidden neuron 1: weighted sum');
      const order = [];
      for (let i = 0; i < 9; ++i) {
        await page.keyboard.press('Tab');
        order.push(await page.evaluate(() => document.activeElement.id || document.activeElement.name));
        const outline = await page.evaluate(() => {
          const element = document.activeElement.name === 'view' ? document.activeElement.nextElementSibling : document.activeElement;
          return getComputedStyle(element).outlineStyle;
        });
        assert.equal(outline, 'solid', order.at(-1));
      }
      assert.deepEqual(order, ['view', 'first', 'back', 'next', 'last', 'stage', 'training', 'flow', 'layer']);
      await page.focus('#stage');
      await page.keyboard.press('Space');
      assert.equal(await text(page, '#title'), 'Hidden neuron 2: weighted sum');
      await page.keyboard.press('End');
      assert.equal(await text(page, '#title'), 'Step 5: weight update');
      await page.keyboard.press('ArrowLeft');
      assert.equal(await text(page, '#title'), 'Step 4: gradients of hidden neuron 2');
      await page.keyboard.press('Home');
      await page.focus('#next');
      await page.keyboard.press('Enter');
      assert.equal(await text(page, '#title'), 'Hidden neuron 1: weighted sum');
      await page.focus('#training');
      await page.keyboard.press('ArrowRight');
      assert.match(await text(page, '#training-text'), /^1 of /);
      assert.equal(await text(page, '#title'), 'Hidden neuron 1: weighted sum');
      assert.equal(await page.locator('#step').getAttribute('aria-live'), 'polite');
    });
  },

  async 'narrow screens need no sideways scrolling, at any step'() {
    for (const width of [320, 360, 768])
      await withPage({ viewport: { width, height: 740 } }, async (page) => {
        await noSidewaysScroll(page);
        if (width >= 360)
          assert.ok(await page.locator('.scroll').evaluate((box) => box.scrollWidth <= box.clientWidth), 'the table is cut off');
        for (const view of ['network', 'graph']) {
          await page.locator(`[name=view][value=${view}]`).check({ force: true });
          for (let i = 0; i < data.steps[view].length; ++i) {
            await press(page, '#next');
            await noSidewaysScroll(page);
          }
        }
      });
  },

  async 'dark and light: the page and its charts follow the scheme'() {
    await withPage({ colorScheme: 'light', reducedMotion: 'reduce' }, async (page) => {
      const look = () => page.evaluate(() => [getComputedStyle(document.body).backgroundColor, document.querySelector('#layer-chart canvas').toDataURL()]);
      const light = await look();
      await page.emulateMedia({ colorScheme: 'dark' });
      let dark = await look();
      for (let i = 0; i < 100 && (dark[0] === light[0] || dark[1] === light[1]); ++i) {  // a busy machine redraws late
        await page.waitForTimeout(100);
        dark = await look();
      }
      assert.notEqual(dark[0], light[0]);
      assert.notEqual(dark[1], light[1]);
      await press(page, '#last');
      await press(page, '#back');
      assert.equal(await page.locator('#stage .edge.active path').first().evaluate((line) => getComputedStyle(line).animationName), 'none');
    });
  },
};

let failed = 0;
for (const [name, run] of Object.entries(tests)) {
  try {
    await run();
    console.log(`passed: ${name}`);
  } catch (error) {
    ++failed;
    console.log(`FAILED: ${name}\n${error.stack}`);
  }
}
await browser.close();
rmSync(folder, { recursive: true });
const count = Object.keys(tests).length;
console.log(`test cases: ${count} | ${count - failed} passed | ${failed} failed`);
process.exit(failed ? 1 : 0);
