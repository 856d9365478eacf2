// Walks the console as a person does: by what is written on it. Everything that is waited for is a condition.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
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
afterEach(() => browser.check());

const seen = (locator) => locator.first().waitFor({ state: 'visible' });
const fact = (page, name) => page.locator('.facts').getByRole('term').filter({ hasText: name }).locator('xpath=following-sibling::dd');
const status = (page, is) => seen(fact(page, 'Status').getByText(is, { exact: true }));
const payment = (page, is) => seen(fact(page, 'Payment').getByText(is, { exact: true }));
const event = (page, name) => page.getByRole('row').filter({ has: page.getByRole('cell').getByText(name, { exact: true }) });
const invariants = ['Nothing lost', 'Charged once', 'Told once'];
const tick = (page, name, state) => seen(page.getByRole('region', { name: 'Pulse' }).getByRole('link', { name: new RegExp(`^${name}\\s*: ${state}`) }));
const ticksHold = async (page) => { for (const name of invariants) await tick(page, name, 'holds'); };

// crossed are the labels of a story's picture that lie on an arrow from or to their own event.
const crossed = (page) => page.evaluate(() => {
  const touches = ({ left, right, top, bottom }, { x, y }) => x > left && x < right && y > top && y < bottom;
  const arrows = [...document.querySelectorAll('.arrow line, .arrow path')].map((arrow) => {
    const points = Array.from({ length: 101 }, (_, i) => arrow.getPointAtLength(arrow.getTotalLength() * i / 100));
    return points.map((point) => point.matrixTransform(arrow.getScreenCTM()));
  });
  const labels = [...document.querySelectorAll('.arrow .label')].map((label) => {
    const { left, right, top, bottom } = label.parentNode.querySelector('circle').getBoundingClientRect();
    const at = { x: (left + right) / 2, y: (top + bottom) / 2 };
    const own = arrows.filter((points) => [points[0], points.at(-1)].some(({ x, y }) => Math.hypot(x - at.x, y - at.y) < 3));
    return { label, own };
  });
  return labels.filter(({ label, own }) => own.flat().some((point) => touches(label.getBoundingClientRect(), point))).map(({ label }) => label.textContent);
});

// unmoved returns a check that a page was not loaded anew since.
async function unmoved(page) {
  await page.evaluate(() => { window.here = true; });
  return async () => assert.equal(await page.evaluate(() => window.here), true, 'the page was loaded anew');
}

test('empty pages say what fills them', async () => {
  const page = await browser.page();
  await page.goto('/');
  await seen(page.getByText('Nothing flows yet.'));
  await page.getByRole('link', { name: 'Orders', exact: true }).click();
  await seen(page.getByText('There is no order yet.'));
  await page.getByRole('link', { name: 'Dead letters', exact: true }).click();
  await seen(page.getByText('Nothing waits.'));
  await browser.shoot('orders-empty', '/orders', (p) => seen(p.getByText('There is no order yet.')));
});

test('an order flows to confirmed before one\'s eyes, and a reload on the way loses nothing', async () => {
  await play.gateway({ outage: true });
  const id = await play.place();
  const page = await browser.page();
  await page.goto(`/orders/${id}`);
  await status(page, 'placed');
  await seen(page.getByText('payment to charge it'));
  await page.reload();
  await status(page, 'placed');
  await seen(event(page, 'OrderPlaced'));
  // The outage is part of the story, and no fact.
  await seen(page.locator('table.events .badge', { hasText: 'retried' }));
  const still = await unmoved(page);
  await play.gateway();
  await status(page, 'confirmed');
  await payment(page, 'succeeded');
  await seen(event(page, 'NotificationSent'));
  await still();
  const told = (await play.events(id)).filter((e) => e.kind === 'event').map((e) => e.type.split('.').at(-1));
  assert.deepEqual(told, ['OrderPlaced', 'PaymentSucceeded', 'OrderConfirmed', 'NotificationSent']);
  const facts = page.locator('table.events summary', { hasNot: page.locator('.badge') });
  assert.deepEqual(await facts.locator('strong').allTextContents(), told);
});

test('orders are found, filtered, and their address can be shared', async () => {
  const page = await browser.page();
  const id = await play.place({ customer_id: 'c-shared' });
  await play.settled(id);
  await page.goto('/orders');
  await page.getByLabel('Customer').fill('c-shared');
  await page.getByLabel('Status').selectOption('confirmed');
  await page.getByRole('button', { name: 'Find' }).click();
  const shared = await browser.page();
  await shared.goto(page.url());
  for (const p of [page, shared]) await seen(p.getByRole('link', { name: id }));
  await browser.shoot('orders', '/orders', (p) => seen(p.getByRole('link', { name: id })));
  await shared.getByLabel('Order').fill(id);
  await shared.getByLabel('Order').press('Enter');
  await status(shared, 'confirmed');
});

test('a declined card cancels the order', async () => {
  const page = await browser.page();
  const id = await play.place({ payment_method: 'pm_card_chargeDeclined' });
  await page.goto(`/orders/${id}`);
  await status(page, 'cancelled');
  await payment(page, 'declined');
  await seen(event(page, 'PaymentDeclined'));
});

test('a cancelled order is refunded while one looks', async () => {
  const page = await browser.page();
  const id = await play.place();
  await page.goto(`/orders/${id}`);
  await status(page, 'confirmed');
  const still = await unmoved(page);
  await play.cancel(id);
  await status(page, 'cancelled');
  await payment(page, 'refunded');
  await seen(event(page, 'PaymentRefunded'));
  await seen(fact(page, 'Mails').getByText('refunded'));
  await still();
  assert.deepEqual(await crossed(page), []);
  await browser.shoot('story', `/orders/${id}`, (p) => payment(p, 'refunded'));
});

// poison makes an order that is parked by the button for it, and opens its story.
async function poison(page) {
  await page.goto('/break');
  const card = page.getByRole('region', { name: 'Poison one order' });
  await card.getByRole('button', { name: 'Poison one order' }).click();
  await card.getByRole('link', { name: 'its order' }).click();
  await seen(page.getByText('Parked by payment'));
}

// edit changes the payload of the letter that is shown, and redrives it.
async function edit(page, change, why = 'wrong card') {
  await page.getByLabel('Why').fill(why);
  await page.getByRole('button', { name: 'Edit…' }).click();
  const payload = page.getByRole('dialog').getByLabel('Payload');
  await payload.fill(JSON.stringify({ ...JSON.parse(await payload.inputValue()), ...change }, undefined, 2));
  for (const value of Object.values(change)) await seen(page.getByLabel('What changes').getByText(value));
  await page.getByRole('button', { name: 'Redrive with this payload' }).click();
}

test('a poisoned order is parked, edited, redriven, and settles', async () => {
  const page = await browser.page();
  await poison(page);
  const story = page.url();
  await browser.shoot('story-parked', story, (p) => seen(p.getByText('Parked by payment')));
  const still = await unmoved(page);
  await play.redrive(story.split('/').at(-1));
  await seen(event(page, 'failed'));
  await still();
  await browser.shoot('dead-letters', '/dead-letters', (p) => seen(p.getByRole('link', { name: 'Show', exact: true })));
  await page.getByRole('link', { name: 'its dead letters' }).click();
  await browser.shoot('dead-letter', page.url(), (p) => seen(p.getByRole('button', { name: 'Redrive' })));
  await edit(page, { payment_method: 'pm_card_visa' });
  await seen(page.getByRole('status').getByText('Done: 1 came back.'));
  await seen(page.getByText('Nothing of this order waits any more.'));
  await page.goto(story);
  await status(page, 'confirmed');
  await seen(event(page, 'PaymentSucceeded'));
  await ticksHold(page);
});

test('a killed service greys on the map, recovers, and the ticks stay green', async () => {
  const page = await browser.page();
  await page.goto('/break');
  await ticksHold(page);
  // What is broken for long enough to be looked at; a killed service comes back sooner.
  const slow = page.getByRole('region', { name: 'Slow the gateway' });
  await slow.getByRole('button', { name: 'Slow the gateway' }).click();
  await browser.shoot('break', '/break', (p) => seen(p.getByRole('button', { name: 'End it now' })));
  await slow.getByRole('button', { name: 'End it now' }).click();
  const card = page.getByRole('region', { name: 'Kill a service' });
  await card.getByRole('combobox').selectOption('payment');
  const map = await browser.page(); // before the kill, which ends by itself after 15 s
  await map.goto('/');
  const row = map.getByRole('row').filter({ has: map.getByRole('cell', { name: 'payment', exact: true }) });
  await seen(row.getByText('consumes'));
  const still = await unmoved(map);
  await card.getByRole('button', { name: 'Kill a service' }).click();
  const end = card.getByRole('button', { name: 'End it now' });
  await seen(end);
  await seen(map.locator('svg#map g.service.payment.stopped'));
  const id = await play.place();
  await end.click();
  await seen(row.getByText('consumes'));
  await map.locator('svg#map g.service.payment.stopped').waitFor({ state: 'detached' });
  assert.equal((await play.settled(id)).status, 'confirmed');
  await ticksHold(map);
  await still();
  const [wide, has] = await map.locator('.picture').evaluate((e) => [e.scrollWidth, e.clientWidth]);
  assert.ok(wide <= has, `the map is ${wide} wide in ${has}`);
  await browser.shoot('map', '/', ticksHold);
});

test('what is hostile is shown as text and runs nothing', async () => {
  const page = await browser.page();
  const script = '"><script>alert(1)</script>', image = '<img src=/x onerror=alert(1)>', header = '<img src/onerror>"<script>alert(1)</script>';
  await assert.rejects(play.place({ customer_id: script }, {}, 'c-1001'), /400.*customer_id/, 'no such customer comes in at all');
  const id = await play.place(
    { payment_method: 'pm_sim_refused', lines: [{ sku: script, name: image, quantity: 1, unit_price: 100 }] },
    { traceparent: `00-${randomUUID().replaceAll('-', '')}-00f067aa0ba902b7-01`, tracestate: `evil=${header}` });
  await page.goto(`/orders/${id}`);
  await page.getByRole('link', { name: 'its dead letters' }).click();
  await seen(page.locator('pre.payload').getByText(image));
  await page.getByText('Headers').click();
  await seen(page.getByRole('definition').filter({ hasText: header }));

  browser.expect('422');
  await edit(page, { [image]: 'x' }, script);
  await seen(page.getByRole('status').filter({ hasText: `/payload/${image}: is not a known field` }));
  await edit(page, { payment_method: 'pm_card_visa' }, script);
  await seen(page.getByRole('status').getByText('Done: 1 came back.'));
  await page.reload();
  await seen(page.getByRole('cell', { name: 'admin' })); // who acted is who is signed in
  await seen(page.getByRole('cell', { name: script }));

  await page.goto(`/orders/${id}`);
  await status(page, 'confirmed');
  await page.locator('table.events summary').first().click();
  await seen(page.getByText(image));
  const q = encodeURIComponent(script);
  for (const path of [`/orders?customer=${q}`, `/dead-letters?type=${q}&class=${q}`, `/orders/${q}`]) {
    browser.expect('40');
    await page.goto(path);
    await seen(page.getByRole('heading', { level: 1 }));
  }
  assert.equal(await page.locator('img').count(), 0);
});

test('a story of 200 events stays usable', async (t) => {
  const id = await play.place({ payment_method: 'pm_sim_refused' });
  await play.parked(id);
  for (let n = 0; n < 100; n++) await play.redrive(id); // each is asked for and fails
  const page = await browser.page();
  await page.goto(`/orders/${id}`);
  const rows = page.locator('table.events tbody tr');
  await rows.nth(199).waitFor();
  const loaded = await page.evaluate(() => Math.round(performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd));
  const frames = await page.evaluate(() => new Promise((done) => {
    const at = [];
    const step = (now) => {
      window.scrollBy(0, 120);
      if (at.push(now) < 100) requestAnimationFrame(step);
      else done(at.slice(1).map((v, i) => v - at[i]).sort((a, b) => a - b));
    };
    requestAnimationFrame(step);
  }));
  t.diagnostic(`${await rows.count()} events: loaded in ${loaded} ms, frames of ${Math.round(frames[49])} ms (median) and ${Math.round(frames[94])} ms (p95) while scrolling`);
  await page.keyboard.press('End');
  await rows.last().locator('summary').click();
  await seen(rows.last().getByText('type', { exact: true }));
});

test('what changes something needs a session, and a page of the console', async () => {
  const page = await browser.page();
  await page.goto('/break');
  const send = (headers, from = page) => from.request.post(`${play.at.console}/break/poison`, { headers, maxRedirects: 0 });
  assert.equal((await send({})).status(), 403, 'nobody says from where');
  assert.equal((await send({ origin: 'http://evil.example' })).status(), 403);
  assert.equal((await send({ origin: play.at.console, 'sec-fetch-site': 'cross-site' })).status(), 403);
  const stranger = await browser.page({ storageState: undefined });
  assert.equal((await send({ origin: play.at.console }, stranger)).status(), 401);
  assert.equal((await page.request.get('/orders', { headers: { host: 'evil.example' } })).status(), 421);
});

test('a viewer sees and changes nothing, and who signed out sees nothing', async () => {
  const page = await browser.page({ storageState: undefined });
  await browser.signIn(page, 'viewer');
  await seen(page.getByRole('banner').getByText('viewer'));
  await page.goto('/break');
  assert.ok(await page.getByRole('button', { name: 'Poison one order' }).isDisabled());
  browser.expect('403');
  await page.goto(`/dead-letters/payment/${randomUUID()}`);
  await seen(page.getByText('For viewer: this needs the role operator.'));
  await page.goto('/orders');
  const cookies = await page.context().cookies();
  assert.deepEqual(cookies.map(({ name, httpOnly, sameSite }) => [name, httpOnly, sameSite]), [['troupe-session', true, 'Lax']]);
  await page.getByRole('button', { name: 'Sign out' }).click();
  await seen(page.getByText('Nobody is signed in here.'));
  assert.deepEqual(await page.context().cookies(), []);
  await page.goto('/orders');
  await seen(page.getByRole('heading', { name: 'Sign in to the playground' }));
  await page.goto('/sign-out');
  await page.getByRole('link', { name: 'Sign in' }).click();
  await page.getByRole('button', { name: 'breaker' }).click();
  await seen(page.getByRole('banner').getByText('breaker'));
});

test('a page whose session has ended says so, and is whole again after a sign-in elsewhere', async () => {
  const [page, other] = await browser.pages(2, { storageState: undefined });
  await browser.signIn(page, 'operator');
  const still = await unmoved(page);
  browser.expect('401');
  await page.context().clearCookies();
  await page.evaluate(() => document.dispatchEvent(new Event('visibilitychange'))); // the stream begins anew
  await seen(page.getByText('Your session has ended.'));
  await browser.signIn(other, 'operator');
  await page.getByText('Your session has ended.').waitFor({ state: 'hidden' });
  await still();
});

test('all of it can be read and broken without JavaScript', async () => {
  const page = await browser.page({ javaScriptEnabled: false });
  await page.goto('/');
  await ticksHold(page);
  await page.getByRole('link', { name: 'Break things' }).click();
  await page.getByRole('button', { name: 'Poison one order' }).click();
  await page.getByRole('link', { name: 'its order' }).click();
  await seen(page.getByRole('row').filter({ hasText: 'OrderPlaced' }));
  const id = page.url().split('/').at(-1);
  await play.parked(id);
  await page.getByRole('link', { name: 'Dead letters', exact: true }).click();
  await page.getByRole('link', { name: id }).click();
  await seen(page.getByRole('heading', { name: '1. OrderPlaced' }));
  await seen(page.locator('pre.payload').getByText('pm_sim_refused'));
});

test('a gateway that charges twice turns the tick red', async () => {
  const page = await browser.page();
  await page.goto('/');
  await ticksHold(page);
  await play.gateway({ double_charge_next: 1 });
  const id = await play.place();
  await tick(page, 'Charged once', 'broken');
  await seen(page.getByRole('listitem').filter({ hasText: 'Charged once' }).getByRole('link', { name: id }));
  await browser.shoot('map-broken', '/', (p) => tick(p, 'Charged once', 'broken'));
});

test('the totals of the stream job stand beside the read model', async () => {
  const page = await browser.page();
  browser.expect('404');
  await page.goto('/statistics');
  await seen(page.getByText('Nobody has written any'));
  const id = await play.place({ currency: 'GBP' }); // the only one
  assert.equal((await play.settled(id)).status, 'confirmed');
  const since = new Date().toISOString().slice(0, 10) + 'T00:00:00Z';
  await play.statistics(
    [{ figure: 'revenue', kind: 'GBP', since }, { n: 1, amount: 2500, share: null }],
    [{ figure: 'revenue', kind: 'EUR', since }, { n: 1, amount: 1, share: null }],
    [{ figure: 'payments', kind: 'declined', since }, { n: 1, amount: 0, share: 0.5 }],
    [{ figure: 'orders', kind: 'confirmed', since }, { n: 1, amount: 0, share: null }],
  );
  await page.goto('/');
  await page.getByRole('link', { name: 'Statistics' }).click();
  await seen(page.getByRole('row').filter({ hasText: '25.00 GBP from 1 confirmed' }).getByText('equal'));
  await seen(page.getByRole('row').filter({ hasText: '0.01 EUR' }).getByText('different'));
  await browser.shoot('statistics', '/statistics', (p) => seen(p.getByText('25.00 GBP from 1 confirmed')));
});
