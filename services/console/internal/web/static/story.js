// Keeps an order's story live: the page fetches what it shows whenever that may have changed.
import { follow, hear } from '/static/live.js';

const story = () => document.getElementById('story');
const live = document.getElementById('live');
let stale = false;
let fetching = false;

async function refresh() {
  stale = true;
  if (fetching) return;
  fetching = true;
  try {
    while (stale) {
      stale = false;
      const html = await fetch(location.pathname).then((answer) => (answer.ok ? answer.text() : '')).catch(() => '');
      if (!html) { // the server is away, or cannot say now
        setTimeout(refresh, 2000);
        return;
      }
      const fresh = new DOMParser().parseFromString(html, 'text/html').getElementById('story');
      const open = [...story().querySelectorAll('tr:has(details[open])')].map((tr) => tr.id);
      for (const id of open) fresh.querySelector(`#${id} details`)?.setAttribute('open', '');
      story().replaceWith(document.adoptNode(fresh));
    }
  } finally {
    fetching = false;
  }
}

follow(story().dataset.order, refresh);
hear('open', () => { live.textContent = 'live'; });
hear('lost', () => { live.textContent = 'connecting again'; });

const copy = document.getElementById('copy');
copy.hidden = !navigator.clipboard;
copy.addEventListener('click', async () => {
  await navigator.clipboard.writeText(copy.previousElementSibling.textContent);
  copy.textContent = 'Copied';
});
