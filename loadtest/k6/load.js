// Load, and what must hold under it:  k6 run -e SCENARIO=smoke|steady|spike|stress|soak loadtest/k6/load.js
// README.md beside this file lists the variables.
import { order } from './customer.js';
import { tokenURL } from './tokens.js';
import { html, json, text } from './report.js';
import { options as of, scenario } from './scenarios.js';

export const options = of();

export function setup() {
  return { run: Date.now().toString(36) + Math.random().toString(36).slice(2, 8), tokens: tokenURL() };
}

export default order;

export function handleSummary(data) {
  const at = `${__ENV.REPORTS || '.'}/${scenario}`;
  return { stdout: text(scenario, data), [`${at}.json`]: json(scenario, data), [`${at}.html`]: html(scenario, data) };
}
