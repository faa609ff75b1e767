// The charts of examples/visualize_backpropagation: what they show is what the program prints.
import assert from 'node:assert/strict';

import { eventually, noSidewaysScroll, slide, text } from './pages.mjs';

export const chartTests = (openPage, printed) => {
  const open = (options, body) => openPage('backpropagation', options, body);
  const lastStep = async (page) => Number(await page.locator('#flow').getAttribute('max'));
  return {
    async 'vanishing, and the deep networks before and after training, are as printed'() {
      await open({}, async (page) => {
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
        await slide(page, '#flow', await lastStep(page));
        assert.deepEqual(await shown(), columns.slice(5).flat());
        await slide(page, '#layer', 20);
        assert.equal(await text(page, '#layer-text'), '20 of 20');
      });
    },

    async 'charts are drawn, and the sliders change them'() {
      await open({}, async (page) => {
        const pixels = (id) => page.locator(`${id} canvas`).evaluate((canvas) => canvas.toDataURL());
        for (const [slider, id] of [['#flow', '#layer-chart'], ['#layer', '#time-chart'], ['#flow', '#loss-chart']]) {
          const before = await pixels(id);
          await slide(page, slider, slider === '#layer' ? 15 : 40);
          await eventually(async () => assert.notEqual(await pixels(id), before, id));
          await slide(page, slider, slider === '#layer' ? 1 : 0);
        }
      });
    },

    async 'the charts lead to the walk, fit narrow screens, and follow the colour scheme'() {
      for (const width of [320, 360, 768])
        await open({ viewport: { width, height: 740 } }, async (page) => {
          await noSidewaysScroll(page);
          if (width >= 360)
            assert.ok(await page.locator('.scroll').evaluate((box) => box.scrollWidth <= box.clientWidth), 'the table is cut off');
        });
      await open({ colorScheme: 'light' }, async (page) => {
        const look = () => page.evaluate(() => [getComputedStyle(document.body).backgroundColor, document.querySelector('#layer-chart canvas').toDataURL()]);
        const light = await look();
        await page.emulateMedia({ colorScheme: 'dark' });
        await eventually(async () => (await look()).forEach((part, i) => assert.notEqual(part, light[i])));
        await page.click('a[href="first_step.html"]');
        await eventually(async () => assert.match(await page.title(), /first training step/));
      });
    },
  };
};
