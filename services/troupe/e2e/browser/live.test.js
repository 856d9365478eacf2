// Pages stay live as tabs of one browser, hidden, and while the server is away. Everything that is waited for is a condition.
import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { Browser } from './browser.js';
import { Playground } from './playground.js';

const { TROUPE, CHROMIUM, SCREENSHOTS } = process.env;
let play, browser;

before(async () => {
  play = await Playground.start(TROUPE);
  browser = await Browser.start({ executablePath: CHROMIUM, base: play.at.console, issuer: play.at.issuer, screenshots: SCREENSHOTS });
});
after(async () => {
  await browser?.stop();
  await play?.stop();
});
afterEach(() => Promise.all([browser.check(), play.gateway()]));

const seen = (locator) => locator.first().waitFor({ state: 'visible' });
const live = (page) => seen(page.locator('#live').getByText('live', { exact: true }));
const payment = (page, is) => seen(page.locator('.facts .badge').getByText(is, { exact: true }));

async function confirmed(change) {
  const id = await play.place(change);
  assert.equal((await play.settled(id)).status, 'confirmed');
  return id;
}

async function until(what, holds) {
  for (const end = Date.now() + 30_000; !await holds(); await new Promise((later) => setTimeout(later, 50))) {
    assert.ok(Date.now() < end, `not within 30 s: ${what}`);
  }
}
const streams = (count) => until(`${count} streams are open`, async () => await play.streams() === count);

// show hides a page and shows it again as a browser does; headless, none is ever hidden.
const show = (page, visible) => page.evaluate((hidden) => {
  Object.defineProperty(document, 'hidden', { value: hidden, configurable: true });
  document.dispatchEvent(new Event('visibilitychange'));
}, !visible);

test('eight visible tabs of one browser are live, on one stream', async () => {
  const ids = [await confirmed(), await confirmed()];
  const tabs = await browser.pages(8);
  const stories = tabs.slice(0, 6), others = tabs.slice(6);
  for (const [n, tab] of stories.entries()) {
    await tab.goto(`/orders/${ids[n % 2]}`);
    await live(tab);
  }
  for (const [n, tab] of others.entries()) {
    await tab.goto(['/', '/dead-letters'][n]);
    await seen(tab.getByRole('region', { name: 'Pulse' }));
  }
  for (const tab of tabs) assert.equal(await tab.evaluate(() => document.visibilityState), 'visible');
  await streams(1);
  await stories.shift().close(); // the first of them
  const figures = () => document.querySelector('#pulse dl').textContent;
  const before = await Promise.all(others.map((tab) => tab.evaluate(figures)));
  for (const id of ids) await play.cancel(id);
  await confirmed();
  for (const tab of stories) await payment(tab, 'refunded');
  for (const [n, tab] of others.entries()) await until('the pulse goes on', async () => await tab.evaluate(figures) !== before[n]);
  await stories[0].reload();
  await live(stories[0]);
  await streams(1);
});

for (const shared of [true, false]) {
  test(`a hidden page holds no stream and misses nothing, ${shared ? 'with' : 'without'} shared workers`, async () => {
    await play.service('payment', 'stop');
    const id = await play.place();
    const page = await browser.page();
    if (!shared) await page.addInitScript(() => { delete window.SharedWorker; });
    await page.goto(`/orders/${id}`);
    await live(page);
    await streams(1);
    await show(page, false);
    await streams(0);
    // A retry changes nothing but what is told of it.
    await play.gateway({ outage: true });
    await play.service('payment', 'start');
    await until('a retry is told', async () => (await play.events(id)).some((e) => e.kind === 'retried'));
    await play.service('payment', 'pause'); // no other follows
    await show(page, true);
    await seen(page.locator('table.events .badge', { hasText: 'retried' }));
    await streams(1);
    await show(page, false);
    await streams(0);
    await play.gateway();
    await play.service('payment', 'resume');
    assert.equal((await play.settled(id)).status, 'confirmed');
    await show(page, true);
    await payment(page, 'succeeded');
    await live(page);
  });
}

test('pages are live again when the server is back, and miss nothing', async () => {
  const id = await confirmed();
  const tabs = await browser.pages(2);
  for (const tab of tabs) {
    await tab.goto(`/orders/${id}`);
    await live(tab);
  }
  browser.expect('ERR_CONNECTION_REFUSED');
  await play.service('console', 'stop');
  for (const tab of tabs) await seen(tab.getByText('connecting again'));
  await play.cancel(id);
  await play.service('console', 'start');
  for (const tab of tabs) {
    await payment(tab, 'refunded');
    await live(tab);
  }
  await streams(1);
});
