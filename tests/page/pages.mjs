// What the tests of pages share: headless Chromium, and pages that may neither complain nor ask a network.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const { chromium } = createRequire(path.join(process.cwd(), 'package.json'))('playwright-core');

export const launch = (executablePath) => chromium.launch({
  executablePath,
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync'],
});

/** Opens a file, runs `body`, and checks that nothing was complained about and nothing asked of a network. */
export async function withPage(browser, file, options, body) {
  const { at = '', ...rest } = options;
  const page = await browser.newPage({ viewport: { width: 1280, height: 900 }, reducedMotion: 'reduce', ...rest });
  page.setDefaultTimeout(5000);
  const complaints = [], requests = [];
  page.on('console', (message) => ['error', 'warning'].includes(message.type()) && complaints.push(message.text()));
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('request', (request) => /^(file|data):/.test(request.url()) || requests.push(request.url()));
  await page.goto(pathToFileURL(file).href + at);
  try {
    await body(page);
    assert.deepEqual(complaints, []);
    assert.deepEqual(requests, []);
  } finally {
    await page.close();
  }
}

export const text = async (page, selector) => (await page.locator(selector).textContent()).replace(/\s+/g, ' ').trim();
export const slide = (page, id, value) => page.locator(id).fill(String(value));
export const noSidewaysScroll = async (page) =>
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'wider than the screen');
/** A busy machine draws late. */
export async function eventually(check) {
  for (let i = 0; ; ++i) {
    try {
      return await check();
    } catch (error) {
      if (i === 50) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

/** Runs the tests, prints what became of each and a count as doctest does, and ends the program. */
export async function run(tests, browser) {
  let failed = 0;
  for (const [name, test] of Object.entries(tests)) {
    try {
      await test();
      console.log(`passed: ${name}`);
    } catch (error) {
      ++failed;
      console.log(`FAILED: ${name}\n${error.stack}`);
    }
  }
  await browser.close();
  const count = Object.keys(tests).length;
  console.log(`test cases: ${count} | ${count - failed} passed | ${failed} failed`);
  return failed ? 1 : 0;
}
