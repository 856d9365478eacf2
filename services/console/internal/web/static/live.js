// What a page hears of the server while it is visible.
//
// A browser has six connections to a server for all of its tabs, so all of them share one stream, held by a shared
// worker, which lives as long as any of them and is none of them: no tab leads that could be closed or frozen. (Web
// locks would need a leader, and are missing over plain HTTP beyond localhost.) Where there are no shared workers, as
// on older phones, each visible page has a stream of its own.
const wish = { flow: false, orders: [] };
const listeners = new EventTarget();

// hear calls a function with the data of each event of a name: those of the server, open, lost, and ended. It must be called
// while the page loads.
export function hear(name, each) {
  if (name === 'flow') wish.flow = true;
  listeners.addEventListener(name, ({ data }) => each(data));
}

// follow calls a function whenever an order's story may have changed, and each time that the page can hear of it again:
// what came before that must be looked at.
export function follow(order, each) {
  wish.orders.push(order);
  hear('order', (told) => { if (told === order) each(); });
}

// Whose session has ended is told, and keeps what is on the page: another tab may sign in too.
const ended = document.getElementById('ended');
hear('ended', () => {
  ended.querySelector('a').href = `/sign-in?to=${encodeURIComponent(location.pathname + location.search)}`;
  ended.hidden = false;
});
hear('open', () => { ended.hidden = true; });

function join() {
  if (globalThis.SharedWorker) return new SharedWorker('/static/stream.js', { type: 'module', name: 'stream' }).port;
  const { port1, port2 } = new MessageChannel();
  import('/static/stream.js').then((stream) => stream.join(port2));
  return port1;
}
const port = join();
port.onmessage = ({ data: [name, data] }) => listeners.dispatchEvent(new MessageEvent(name, { data }));
const say = (visible) => port.postMessage(visible ? wish : undefined);
document.addEventListener('visibilitychange', () => say(!document.hidden));
window.addEventListener('pagehide', () => say(false));
window.addEventListener('pageshow', () => say(!document.hidden)); // after all modules, and when one goes back to it
