// A playground of its own for one run: everything on free ports, in a directory that is removed afterwards.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Kafka, logLevel } from 'kafkajs';

export class Playground {
  placed = new Map(); // consistency token and customer of each order
  tokens = new Map(); // that the issuer gave, by subject

  // start returns when the playground says that it is ready; program is bin/troupe.
  static async start(program) {
    const p = new Playground();
    p.dir = await mkdtemp(join(tmpdir(), 'troupe-browser-'));
    p.process = spawn(program, ['play', '--dir', p.dir, '--ports', 'auto'], { stdio: ['ignore', 'pipe', 'inherit'] });
    p.ended = once(p.process, 'exit');
    process.once('exit', () => p.process.kill('SIGINT')); // however this test ends
    process.once('SIGTERM', () => process.exit(1));
    p.log = [];
    await new Promise((ready, failed) => {
      p.process.on('error', failed);
      p.process.on('exit', () => failed(new Error(`the playground ended:\n${p.log.join('\n')}`)));
      createInterface(p.process.stdout).on('line', (line) => {
        if (p.log.push(line) > 500) p.log.shift();
        if (line.includes('Troupe is playing')) ready();
      });
    });
    Object.assign(p, { at: JSON.parse(await readFile(join(p.dir, 'playground.json'), 'utf8')) });
    return p;
  }

  async stop() {
    this.process.kill('SIGINT');
    await this.ended;
    await rm(this.dir, { recursive: true });
  }

  // as is the header with the token of a subject.
  async as(subject) {
    if (!this.tokens.has(subject)) {
      const secret = (await readFile(join(this.dir, 'secret'), 'utf8')).trim();
      const { access_token } = await ok(await fetch(`${this.at.issuer}/oauth/token`, {
        method: 'POST', body: new URLSearchParams({ grant_type: 'client_credentials' }),
        headers: { authorization: `Basic ${btoa(`${subject}:${secret}`)}` },
      }), 200);
      this.tokens.set(subject, { authorization: `Bearer ${access_token}` });
    }
    return this.tokens.get(subject);
  }

  // place places an order by REST, as its customer or who is said, and returns its id.
  async place(change = {}, headers = {}, as = change.customer_id ?? 'c-1001') {
    const order = {
      customer_id: 'c-1001', email: 'ada@example.com', currency: 'EUR', payment_method: 'pm_card_visa',
      lines: [{ sku: 'TEA-250', name: 'Green tea', quantity: 2, unit_price: 1250 }], ...change,
    };
    const answer = await fetch(`${this.at.order}/orders`, {
      method: 'POST', body: JSON.stringify(order),
      headers: { 'content-type': 'application/json', 'idempotency-key': crypto.randomUUID(), ...await this.as(as), ...headers },
    });
    const placed = await ok(answer, 202);
    this.placed.set(placed.id, { token: placed.consistency_token, as });
    return placed.id;
  }

  // settled returns an order that was placed here, when it has its outcome.
  async settled(id) {
    const { token, as } = this.placed.get(id);
    return ok(await fetch(`${this.at.query}/orders/${id}?until=settled`, { headers: { prefer: 'wait=30', 'consistency-token': token, ...await this.as(as) } }), 200);
  }

  async cancel(id) {
    return ok(await fetch(`${this.at.order}/orders/${id}/cancel`, { method: 'POST', headers: await this.as(this.placed.get(id).as) }), 202);
  }

  // parked returns when payment has parked an order and the console knows.
  async parked(id) {
    const headers = await this.as('operator');
    for (const end = Date.now() + 30_000; ; await new Promise((later) => setTimeout(later, 50))) {
      const answer = await fetch(`${this.at.console}/api/dead-letters/payment/${id}`, { headers });
      if (answer.ok && (await answer.json()).waiting > 0) return;
      if (Date.now() > end) throw new Error(`order ${id} is not parked`);
    }
  }

  // redrive asks for what payment parked of an order, and returns when it is known what became of it.
  async redrive(id) {
    return ok(await fetch(`${this.at.console}/api/dead-letters/payment/${id}/redrive`, {
      method: 'POST', body: JSON.stringify({ by: 'ada.l', force: true }),
      headers: { 'content-type': 'application/json', prefer: 'wait=30', ...await this.as('operator') },
    }), 200);
  }

  // events of an order, as the customers' door tells them.
  async events(id) {
    return (await ok(await fetch(`${this.at.query}/orders/${id}/events`, { headers: await this.as('viewer') }), 200)).events;
  }

  // streams is how many the console holds open now.
  async streams() {
    const { processes } = await ok(await fetch(`${this.at.control}/processes`), 200);
    const { http } = processes.find(({ name }) => name === 'console').addresses;
    const metrics = await (await fetch(`${http}/metrics`)).text();
    return Number(/^troupe_streams_open(?:\{[^}]*\})? (\S+)$/m.exec(metrics)?.[1] ?? 0);
  }

  // statistics writes totals of the stream job's, one record each, into the topic that it writes them into.
  async statistics(...totals) {
    const kafka = new Kafka({ clientId: 'browser', brokers: this.at.kafka, logLevel: logLevel.ERROR });
    const [admin, producer] = [kafka.admin(), kafka.producer()];
    await Promise.all([admin.connect(), producer.connect()]);
    const [topic, text] = ['statistics.v1', JSON.stringify];
    await admin.createTopics({ topics: [{ topic, numPartitions: 1 }], waitForLeaders: true });
    await producer.send({ topic, messages: totals.map(([key, value]) => ({ key: text(key), value: text(value) })) });
    await Promise.all([admin.disconnect(), producer.disconnect()]);
  }

  // service stops, starts, pauses or resumes one.
  async service(name, action) {
    return ok(await fetch(`${this.at.control}/processes/${name}/${action}`, { method: 'POST', headers: { 'x-troupe-control': '1' } }), 200);
  }

  // gateway sets how the simulator misbehaves; nothing: not at all.
  async gateway(control = {}) {
    return ok(await fetch(`${this.at.gateway}/control`, { method: 'PUT', body: JSON.stringify(control), headers: { 'content-type': 'application/json' } }), 200);
  }
}

async function ok(answer, status) {
  const text = await answer.text();
  if (answer.status !== status) throw new Error(`${answer.url}: ${answer.status}, not ${status}: ${text}`);
  return JSON.parse(text);
}
