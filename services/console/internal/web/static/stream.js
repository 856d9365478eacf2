// The one stream of all visible pages of a browser, as a shared worker: open while there is such a page. It begins anew
// when one comes, and says everything then: nothing is kept here, and nothing can be missed.
const pages = new Map(); // what each visible page wants, by its port
let source;

export function join(port) {
  port.onmessage = ({ data: wish }) => {
    if (wish) pages.set(port, wish);
    else if (!pages.delete(port)) return;
    if (wish || pages.size === 0) open();
  };
  port.onclose = () => port.onmessage({}); // a page that could not say that it goes
}
globalThis.onconnect = ({ ports: [port] }) => join(port);

function tell(name, data) {
  for (const port of pages.keys()) port.postMessage([name, data]);
}

function open() {
  source?.close();
  source = undefined;
  if (pages.size === 0) return;
  const wishes = [...pages.values()];
  const query = new URLSearchParams([...new Set(wishes.flatMap((w) => w.orders))].map((order) => ['order', order]));
  if (wishes.some((w) => w.flow)) query.set('flow', '');
  const mine = source = new EventSource(`/live?${query}`);
  for (const name of ['pulse', 'flow', 'order']) {
    mine.addEventListener(name, (e) => tell(name, JSON.parse(e.data)));
  }
  mine.addEventListener('open', () => tell('open'));
  mine.addEventListener('error', () => {
    tell('lost');
    if (mine.readyState !== EventSource.CLOSED) return;
    fetch('/live', { method: 'HEAD' }).then(({ status }) => { if (status === 401) tell('ended'); }, () => {});
    setTimeout(() => { if (source === mine) open(); }, 2000); // it was refused: a browser gives up then
  });
}
