// Keeps the strip, and on a map all of it, live: the server sends them as it writes them, and what differs is put in place.
import { hear } from '/static/live.js';

// become makes a node like a fresh one. An element stays where it is one of the same kind, and with it the focus: what is read out by
// itself must have been there before its text. Dots are the map's own.
function become(old, fresh) {
  if (old.id === 'dots' || old.isEqualNode(fresh)) return;
  if (!old.attributes || old.nodeName !== fresh.nodeName) {
    old.replaceWith(fresh);
    return;
  }
  for (const name of old.getAttributeNames()) if (!fresh.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of fresh.attributes) old.setAttribute(name, value);
  const here = [...old.childNodes], children = [...fresh.childNodes];
  if (here.length !== children.length) old.replaceChildren(...children);
  else for (const [i, child] of here.entries()) become(child, children[i]);
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
