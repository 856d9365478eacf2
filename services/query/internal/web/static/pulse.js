// Keeps the board live: the server says what stands where, and what of it changed. A hidden page lets go of its connection, because a
// browser has few of them.
import { el } from '/static/console.js';

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

// What else listens to the stream, by the name of the event. A module that wants "flow" says so before the stream opens.
export const listeners = new Map([['pulse', show]]);

let source;
export function connect() {
  if (source || document.hidden) return;
  source = new EventSource('/api/pulse/stream' + (listeners.has('flow') ? '?flow' : ''));
  for (const [name, hear] of listeners) source.addEventListener(name, (e) => hear(JSON.parse(e.data)));
  source.addEventListener('error', () => {
    show({ text: { said: 'connecting again' } });
    if (source?.readyState === EventSource.CLOSED) { // refused: the browser does not try again by itself
      source = undefined;
      setTimeout(connect, 2000);
    }
  });
}
document.addEventListener('visibilitychange', () => {
  if (document.hidden) {
    source?.close();
    source = undefined;
  } else connect();
});
window.addEventListener('load', connect); // after all modules
