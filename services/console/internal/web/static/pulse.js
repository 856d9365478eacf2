// Keeps the strip, and on a map all of it, live: the server sends them as it writes them, and what differs is put in place.
import { hear } from '/static/live.js';

// become makes an element like a fresh one; what is the same stays, and with it the focus and what was read out. Dots are the map's own.
function become(old, fresh) {
  if (old.id === 'dots' || old.isEqualNode(fresh)) return;
  if (!old.attributes || old.nodeName !== fresh.nodeName || old.childNodes.length !== fresh.childNodes.length) {
    old.replaceWith(fresh);
    return;
  }
  for (const name of old.getAttributeNames()) if (!fresh.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of fresh.attributes) old.setAttribute(name, value);
  const children = [...fresh.childNodes];
  for (const [i, child] of [...old.childNodes].entries()) become(child, children[i]);
}

hear('pulse', (html) => {
  const came = document.createElement('template');
  came.innerHTML = html;
  for (const part of [...came.content.children]) {
    const here = document.getElementById(part.id);
    if (here) become(here, part);
  }
});
hear('lost', () => { document.getElementById('said').textContent = 'connecting again'; });
