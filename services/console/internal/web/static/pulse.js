// Keeps the board live: the server says what stands where, and what of it changed.
import { el } from '/static/console.js';
import { hear } from '/static/live.js';

const each = (kind, changes, put) => {
  for (const [place, value] of Object.entries(changes ?? {})) {
    for (const e of document.querySelectorAll(`[data-${kind}="${CSS.escape(place)}"]`)) put(e, value);
  }
};

function show({ text, state, line, orders }) {
  each('text', text, (e, value) => { e.textContent = value; });
  each('state', state, (e, value) => {
    if (e.dataset.was === undefined) e.dataset.was = e.getAttribute('class')?.split(' ').filter((c) => !states.has(c)).join(' ') ?? '';
    e.setAttribute('class', `${e.dataset.was} ${value}`.trim());
  });
  each('line', line, (e, value) => { e.setAttribute('points', value); });
  each('orders', orders, (e, value) => {
    e.replaceChildren(...(value ?? []).flatMap((id) => [el('a', { class: 'mono', href: `/orders/${encodeURIComponent(id)}` }, id), ' ']));
  });
}
const states = new Set(['holds', 'broken', 'unchecked', 'stopped', 'warn', 'shown']);

hear('pulse', show);
hear('lost', () => show({ text: { said: 'connecting again' } }));
