// The summary of a run: text, JSON, and one HTML file that loads nothing.
const trends = ['order_settled_ms', 'token_read_ms', 'http_req_duration'];
const figures = ['med', 'p(90)', 'p(95)', 'p(99)', 'max'];
const ms = (v) => `${v >= 100 ? Math.round(v) : v.toFixed(1)} ms`;

// digest is what all three forms are made of.
function digest(scenario, data) {
  const m = data.metrics;
  const value = (name, key) => (m[name] && m[name].values[key]) || 0;
  const thresholds = Object.entries(m).flatMap(([metric, { thresholds: t = {} }]) =>
    Object.entries(t).map(([rule, { ok }]) => ({ metric, rule, ok })));
  const checks = data.root_group.checks.map(({ name, passes, fails }) => ({ name, passes, fails }));
  const steps = Object.keys(m).map((name) => /^order_settled_ms\{scenario:at_(\d+)\}$/.exec(name)).filter(Boolean)
    .map(([name, rate]) => ({
      rate: Number(rate), settled: m[name].values,
      held: thresholds.every((t) => t.ok || !t.metric.endsWith(`{scenario:at_${rate}}`)),
    })).filter((s) => s.settled.count > 0).sort((a, b) => a.rate - b.rate);
  const missed = steps.findIndex((s) => !s.held);
  return {
    scenario,
    seconds: data.state.testRunDurationMs / 1000,
    correct: thresholds.every((t) => t.ok || t.metric.includes('{') || !['checks', 'orders_settled', 'orders_refused', 'iterations'].includes(t.metric))
      && checks.length > 0 && checks.every((c) => c.fails === 0),
    orders: {
      settled: value('orders_settled', 'passes'), unsettled: value('orders_settled', 'fails'), refused: value('orders_refused', 'count'),
      not_begun_when_due: value('dropped_iterations', 'count'), reads_behind: value('reads_behind', 'count'),
    },
    request_failures: value('http_req_failed', 'rate'),
    times: Object.fromEntries(trends.filter((t) => m[t]).map((t) => [t, m[t].values])),
    steps,
    // Orders per second of the last step before the first that missed an objective; absent when none did.
    knee: missed > 0 ? steps[missed - 1].rate : undefined,
    thresholds,
    checks,
  };
}

export function json(scenario, data) {
  return `${JSON.stringify(digest(scenario, data), null, 2)}\n`;
}

// kneeOf says in words what stress found.
function kneeOf({ steps, knee }) {
  if (steps.length === 0) return '';
  if (knee) return `the knee: ${knee} orders/s held every objective, the next step did not`;
  return steps[0].held ? 'no knee up to the last step' : 'the first step missed an objective: begin with a lower RATE';
}

export function text(scenario, data) {
  const d = digest(scenario, data);
  const lines = [`${scenario}: ${d.seconds.toFixed(0)} s, ${Object.entries(d.orders).map(([k, v]) => `${v} ${k.replaceAll('_', ' ')}`).join(', ')}`];
  for (const [name, v] of Object.entries(d.times)) lines.push(`  ${name.padEnd(20)} ${figures.map((f) => `${f} ${ms(v[f])}`).join('  ')}`);
  for (const s of d.steps) lines.push(`  ${String(s.rate).padStart(6)} orders/s   ${figures.map((f) => `${f} ${ms(s.settled[f])}`).join('  ')}  ${s.held ? 'held' : 'missed'}`);
  if (kneeOf(d)) lines.push(`  ${kneeOf(d)}`);
  for (const c of d.checks) lines.push(`  ${c.fails === 0 ? 'ok    ' : 'BROKEN'} ${c.name}: ${c.passes} of ${c.passes + c.fails}`);
  for (const t of d.thresholds) if (!t.metric.includes('{')) lines.push(`  ${t.ok ? 'ok    ' : 'MISSED'} ${t.metric} ${t.rule}`);
  return `${lines.join('\n')}\n`;
}

const escape = (s) => String(s).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
const row = (cells, head) => `<tr>${cells.map((c) => `<${head ? 'th' : 'td'}>${escape(c)}</${head ? 'th' : 'td'}>`).join('')}</tr>`;
const table = (head, rows) => `<table>${row(head, true)}${rows.map((r) => row(r)).join('')}</table>`;

// bars draws one bar per [name, ms], on a common scale.
function bars(title, pairs) {
  const most = Math.max(1, ...pairs.map(([, v]) => v));
  const each = pairs.map(([name, v], i) => `<text x="90" y="${i * 22 + 15}" text-anchor="end">${escape(name)}</text>`
    + `<rect x="100" y="${i * 22 + 2}" width="${((v / most) * 460).toFixed(1)}" height="16"/>`
    + `<text x="${(106 + (v / most) * 460).toFixed(1)}" y="${i * 22 + 15}">${ms(v)}</text>`);
  return `<h2>${escape(title)}</h2><svg role="img" aria-label="${escape(title)}" viewBox="0 0 660 ${pairs.length * 22}" width="660">${each.join('')}</svg>`;
}

export function html(scenario, data) {
  const d = digest(scenario, data);
  const times = Object.entries(d.times).map(([name, v]) => bars(name, figures.map((f) => [f, v[f]])));
  const steps = d.steps.length === 0 ? '' : `<p>${escape(kneeOf(d))}</p>${bars('order_settled_ms, p99 by orders per second', d.steps.map((s) => [s.rate, s.settled['p(99)']]))}`;
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Troupe under load: ${escape(scenario)}</title>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<style>body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1c1c28}
table{border-collapse:collapse;margin:1rem 0}th,td{text-align:left;padding:.2rem 1rem .2rem 0;border-bottom:1px solid #ddd}
rect{fill:#3b6ea5}svg text{font-size:12px;fill:currentColor}svg{max-width:100%}</style></head><body>
<h1>Troupe under load: ${escape(scenario)}</h1>
<p><strong>${d.correct ? 'Correct' : 'NOT correct'}</strong>, ${d.seconds.toFixed(0)} s, ${(100 * d.request_failures).toFixed(2)} % of the requests failed.</p>
${table(Object.keys(d.orders).map((k) => k.replaceAll('_', ' ')), [Object.values(d.orders)])}
${steps}${times.join('')}
<h2>What must hold</h2>${table(['', 'check', 'passed', 'failed'], d.checks.map((c) => [c.fails === 0 ? 'ok' : 'BROKEN', c.name, c.passes, c.fails]))}
<h2>Thresholds</h2>${table(['', 'metric', 'rule'], d.thresholds.map((t) => [t.ok ? 'ok' : 'MISSED', t.metric, t.rule]))}
</body></html>
`;
}
