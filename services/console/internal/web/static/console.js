// What every page has: times that go on, and the strip with the pulse. A page's own script is a module of its own.
const units = [[86400e3 * 2, 86400e3, ' days'], [3600e3, 3600e3, ' h'], [60e3, 60e3, ' min'], [1e3, 1e3, ' s'], [0, 1, ' ms']];

export function span(ms) {
  const [, size, unit] = units.find(([least]) => ms >= least) ?? units.at(-1);
  return Math.max(0, Math.floor(ms / size)) + unit;
}

// el makes an element: text is text, never markup.
export function el(name, attributes = {}, ...children) {
  const e = document.createElement(name);
  for (const [k, v] of Object.entries(attributes)) if (v !== undefined && v !== false) e.setAttribute(k, v === true ? '' : v);
  e.append(...children);
  return e;
}

setInterval(() => {
  for (const t of document.querySelectorAll('time[data-ago]')) t.textContent = span(Date.now() - Date.parse(t.dateTime));
}, 1000);
