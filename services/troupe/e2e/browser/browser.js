// A headless Chromium whose pages tell everything that must never happen on them.
import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

export const desktop = { width: 1280, height: 900 };
export const phone = { width: 390, height: 844 };

export class Browser {
  static async start({ executablePath, base, issuer, screenshots }) {
    const b = new Browser();
    // What Chromium would ask of the network by itself is off.
    b.chromium = await chromium.launch({
      executablePath, args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
    });
    Object.assign(b, { base, issuer, screenshots, contexts: [], wrong: [], expected: [] });
    await mkdir(screenshots, { recursive: true });
    const page = await b.page();
    await b.signIn(page, 'admin');
    b.session = await page.context().storageState(); // of all pages from now on
    await b.check();
    return b;
  }

  // signIn opens the console and says at the issuer's page who it is: one click.
  async signIn(page, as) {
    await page.goto('/');
    await page.getByRole('button', { name: as }).click();
    await page.getByRole('button', { name: 'Sign out' }).waitFor();
  }

  // page opens an empty page that knows nothing of the others. Script errors, violations of the policy, dialogs (an alert that got
  // through) and failed requests are remembered for check.
  async page(options = {}) { return (await this.pages(1, options))[0]; }

  // pages opens several at once, as tabs of one browser: they share what it has.
  async pages(count, options = {}) {
    const context = await this.chromium.newContext({ baseURL: this.base, viewport: desktop, reducedMotion: 'no-preference', storageState: this.session, ...options });
    this.contexts.push(context);
    context.setDefaultTimeout(30_000);
    const pages = [];
    while (pages.length < count) pages.push(this.watched(await context.newPage()));
    return pages;
  }

  watched(page) {
    const wrong = (what) => {
      if (!this.expected.some((part) => what.includes(part))) this.wrong.push(`${page.url()}: ${what}`);
    };
    page.on('pageerror', (e) => wrong(e.stack ?? e));
    page.on('console', (m) => { if (['error', 'warning'].includes(m.type())) wrong(`console: ${m.text()}`); });
    page.on('dialog', async (d) => { wrong(`dialog: ${d.message()}`); await d.dismiss(); });
    page.on('response', (r) => { if (r.status() >= 400) wrong(`${r.status()} for ${r.url()}`); });
    const own = [this.base, this.issuer].map((url) => new URL(url).origin);
    page.on('request', (r) => { if (!own.includes(new URL(r.url()).origin)) wrong(`asked elsewhere: ${r.url()}`); });
    return page;
  }

  // expect says what is no mistake in this test: anything that has the text in it.
  expect(text) { this.expected.push(text); }

  // check closes all pages and fails when something happened on one of them that must not.
  async check() {
    await Promise.all(this.contexts.splice(0).map((c) => c.close()));
    this.expected = [];
    assert.deepEqual(this.wrong.splice(0), []);
  }

  // shoot saves what a page looks like, in light and dark, on a desktop and on a phone, where nothing may be cut off at the side.
  async shoot(name, path, ready) {
    for (const [size, viewport] of Object.entries({ desktop, phone })) {
      const page = await this.page({ viewport });
      await page.goto(path);
      await ready(page);
      for (const colorScheme of ['light', 'dark']) {
        await page.emulateMedia({ colorScheme });
        await page.screenshot({ path: join(this.screenshots, `${name}-${size}-${colorScheme}.png`), fullPage: true });
      }
      const width = await page.evaluate(() => document.documentElement.scrollWidth);
      assert.ok(width <= viewport.width, `${name} is ${width} wide on a ${size} of ${viewport.width}`);
      await page.context().close();
    }
  }

  async stop() { await this.chromium.close(); }
}
