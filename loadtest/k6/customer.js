// One customer: places an order, reads what it wrote, waits for the outcome, sometimes presses the button twice or cancels.
import { check, sleep } from 'k6';
import exec from 'k6/execution';
import http from 'k6/http';
import { Counter, Rate, Trend } from 'k6/metrics';
import { bearer } from './tokens.js';

const ORDER = __ENV.ORDER_URL || 'http://127.0.0.1:8081';
const QUERY = __ENV.QUERY_URL || 'http://127.0.0.1:8084';
// PATIENCE is how long a customer waits for an answer or an outcome, in ms.
const PATIENCE = 60_000;

const settledAfter = new Trend('order_settled_ms', true); // from the first POST to the outcome in the read model
const readAfter = new Trend('token_read_ms', true); // a read that waits until it shows what was just written
const settled = new Rate('orders_settled'); // of the orders answered with 202
const refused = new Counter('orders_refused'); // never answered with 202; nothing was promised
const behind = new Counter('reads_behind'); // 503 read-model-behind: late, but never stale

http.setResponseCallback(http.expectedStatuses(200, 202));

// order places one order; run names this run among all others on the same logs, tokens is where customers get theirs.
export function order({ run, tokens }) {
  const n = exec.scenario.iterationInTest;
  const key = `${run}-${exec.scenario.name}-${n}`;
  const declined = n % 10 === 3;
  const customer = `load-${n % 1000}`;
  const auth = bearer(customer, tokens);
  const body = JSON.stringify({
    customer_id: customer, email: `load-${n % 1000}@example.com`, currency: 'EUR',
    payment_method: declined ? 'pm_card_chargeDeclined' : 'pm_card_visa',
    lines: [{ sku: 'TEA-250', name: 'Green tea', quantity: 1 + (n % 3), unit_price: 1250 }],
  });
  const total = (1 + (n % 3)) * 1250;

  const began = Date.now();
  const placed = place(key, body, auth);
  refused.add(placed ? 0 : 1);
  if (!placed) return;
  check(placed, { 'the total is that of the lines': (p) => p.total === total });
  if (n % 20 === 7) {
    const again = place(key, body, auth);
    if (again) check(again, { 'a retry is the same order': (a) => a.id === placed.id });
  }

  const first = read(placed, auth);
  if (first) check(first, { 'a read with a token shows the order': (d) => d.id === placed.id && d.total === total });
  const last = until(placed, auth, '?until=settled', (d) => d.settled);
  settled.add(last !== null);
  if (!last) return;
  settledAfter.add(Date.now() - began);
  check(last, {
    'the outcome is the one of its card': (d) => declined
      ? d.status === 'cancelled' && d.payment.status === 'declined'
      : d.status === 'confirmed' && d.payment.status === 'succeeded' && d.payment.amount === total,
  });
  if (n % 20 === 11 && !declined) cancel(placed.id, auth);
}

// cancel changes its mind about a confirmed order, which then is refunded.
function cancel(id, auth) {
  const answer = answered(202, () => http.post(`${ORDER}/orders/${id}/cancel`, null, { headers: auth, tags: { name: 'POST /orders/{id}/cancel' } }));
  refused.add(answer ? 0 : 1);
  if (!answer) return;
  const first = read({ ...answer, id }, auth);
  if (first) check(first, { 'a read with a token shows the cancellation': (d) => Boolean(d.cancellation && d.cancellation.requested_at) });
  const last = until({ ...answer, id }, auth, '', (d) => d.status === 'cancelled' && d.payment.status === 'refunded');
  check(last, { 'a cancelled order is refunded': (d) => d !== null });
}

// place returns the answer to a POST, which is sent again with the same key until there is one; null when there is none in time.
function place(key, body, auth) {
  const headers = { ...auth, 'Content-Type': 'application/json', 'Idempotency-Key': key };
  return answered(202, () => http.post(`${ORDER}/orders`, body, { headers, tags: { name: 'POST /orders' } }));
}

// read returns the order as it is once the token is passed; null when the read model is behind for the whole wait.
function read(placed, auth) {
  const answer = get(placed, auth, '', 10);
  if (answer.status !== 503 && answer.status !== 0) {
    check(answer, { 'a read with a token is answered, or said to be late': (a) => a.status === 200 });
  }
  if (answer.status !== 200) return null;
  readAfter.add(answer.timings.duration);
  return answer.json();
}

// until returns the order once it is as expected; null when it is not in time.
function until(placed, auth, query, expected) {
  for (const end = Date.now() + PATIENCE; Date.now() < end; sleep(0.05)) {
    const answer = get(placed, auth, query, 30);
    if (answer.status !== 200) continue;
    const document = answer.json();
    if (expected(document)) return document;
  }
  return null;
}

function get({ id, consistency_token: token }, auth, query, wait) {
  const answer = http.get(`${QUERY}/orders/${id}${query}`, {
    headers: { ...auth, 'Consistency-Token': token, Prefer: `wait=${wait}` },
    tags: { name: `GET /orders/{id}${query}` },
    timeout: `${wait + 10}s`,
  });
  behind.add(answer.status === 503 ? 1 : 0);
  return answer;
}

// answered sends a request again while it says that one may (409 in flight, 503) or nothing at all; a refusal is a failed check.
function answered(status, send) {
  for (const end = Date.now() + PATIENCE; Date.now() < end;) {
    const answer = send();
    if (answer.status === status) return answer.json();
    if (![0, 409, 503].includes(answer.status)) {
      check(answer, { 'a valid request is never refused': () => false });
      return null;
    }
    sleep(Number(answer.headers['Retry-After'] || 1));
  }
  return null;
}
