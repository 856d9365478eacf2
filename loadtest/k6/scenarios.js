// How much comes, and when. Open loop: orders are due at a rate, however long answers take; what k6 could not begin when it was due is
// a dropped iteration.
const number = (name, otherwise) => {
  const text = __ENV[name];
  if (text === undefined || text === '') return otherwise;
  const n = Number(text);
  if (!Number.isInteger(n) || n < 1 || n > 100_000) throw new Error(`${name} must be a whole number from 1 to 100000, and is ${text}`);
  return n;
};
const RATE = number('RATE', 20); // orders per second of steady and soak; spike multiplies it, stress begins with it
const SECONDS = number('DURATION', 0); // of steady, soak and each step of stress; 0: as below
const gracefulStop = '150s'; // nobody who was promised an order is cut off

// The objective of k8s/observability/alerts.yml: 99 % settle within 5 s; RequestErrorRatio: 5 %.
const settles = 'p(99)<5000';
const answers = 'rate<0.05';
// What must hold at any load: every check, and every order answered with 202 settles.
const correct = { checks: ['rate==1'], orders_settled: ['rate==1'] };
const objectives = { order_settled_ms: [settles], http_req_failed: [answers], dropped_iterations: ['count==0'] };

// Customers who wait at one moment: those of 5 s, the objective, are made beforehand, since making one takes long enough to be late.
const vus = (rate, most = 1000) => ({ preAllocatedVUs: Math.min(most, Math.max(20, rate * 5)), maxVUs: Math.min(2 * most, Math.max(50, rate * 10)) });
const constant = (rate, seconds) => ({ executor: 'constant-arrival-rate', rate, duration: `${seconds}s`, gracefulStop, ...vus(rate) });
const measured = (scenario, thresholds) => ({ scenarios: { orders: scenario }, thresholds: { ...correct, ...thresholds } });

const all = {
  // Whether it is right, not how fast: for CI.
  smoke: () => measured({ executor: 'shared-iterations', vus: 8, iterations: 100, maxDuration: '4m', gracefulStop }, { orders_refused: ['count==0'], iterations: ['count==100'] }),
  steady: () => measured(constant(RATE, SECONDS || 60), objectives),
  soak: () => measured(constant(RATE, SECONDS || 600), objectives),
  // Ten times as much within five seconds, and back: it must all settle, and in time.
  spike: () => measured({
    executor: 'ramping-arrival-rate', startRate: RATE, gracefulStop, ...vus(RATE * 10),
    stages: [[RATE, 15], [RATE * 10, 5], [RATE * 10, 15], [RATE, 5], [RATE, 20]].map(([target, s]) => ({ target, duration: `${s}s` })),
  }, objectives),
  // Half as much more with each step, until an objective is missed: that is the knee, and the end.
  stress: () => {
    const scenarios = {};
    const thresholds = { ...correct };
    const seconds = SECONDS || 20;
    const stop = (threshold) => [{ threshold, abortOnFail: true }];
    for (let step = 0; step < 10; step++) {
      const rate = Math.round(RATE * 1.5 ** step);
      const name = `at_${rate}`;
      scenarios[name] = { ...constant(rate, seconds), ...vus(rate, 400), startTime: `${step * seconds}s` };
      thresholds[`order_settled_ms{scenario:${name}}`] = stop(settles);
      thresholds[`http_req_failed{scenario:${name}}`] = stop(answers);
      thresholds[`dropped_iterations{scenario:${name}}`] = stop('count==0');
    }
    return { scenarios, thresholds };
  },
};

export const scenario = __ENV.SCENARIO || 'smoke';

// options are those of SCENARIO.
export function options() {
  if (!Object.hasOwn(all, scenario)) throw new Error(`SCENARIO must be one of ${Object.keys(all).join(', ')}, and is ${scenario}`);
  return { ...all[scenario](), summaryTrendStats: ['count', 'min', 'med', 'p(90)', 'p(95)', 'p(99)', 'max'], userAgent: 'troupe-load' };
}
