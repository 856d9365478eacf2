// Keeps an order's story live: the server says the new version, and the page fetches what it shows. A lost connection comes back by
// itself, and is told the version at once, so nothing is missed.
const story = () => document.getElementById('story');
const live = document.getElementById('live');
let wanted = Number(story().dataset.version);
let stale = false;
let fetching = false;

async function refresh() {
  if (fetching) return;
  fetching = true;
  try {
    while (stale || Number(story().dataset.version) < wanted) {
      stale = false;
      const answer = await fetch(location.pathname);
      if (!answer.ok) break;
      const fresh = new DOMParser().parseFromString(await answer.text(), 'text/html').getElementById('story');
      const open = [...story().querySelectorAll('tr:has(details[open])')].map((tr) => tr.id);
      for (const id of open) fresh.querySelector(`#${id} details`)?.setAttribute('open', '');
      const before = Number(story().dataset.version);
      story().replaceWith(document.adoptNode(fresh));
      if (!stale && Number(story().dataset.version) <= before) break;
    }
  } finally {
    fetching = false;
  }
}

const source = new EventSource(location.pathname + '/live');
source.addEventListener('open', () => { live.textContent = 'live'; });
source.addEventListener('error', () => { live.textContent = 'connecting again'; });
source.addEventListener('version', (e) => {
  wanted = Number(e.data);
  refresh();
});
source.addEventListener('exception', () => { // a retry, a duplicate or a hold: the version stays
  stale = true;
  refresh();
});

const copy = document.getElementById('copy');
copy.hidden = !navigator.clipboard;
copy.addEventListener('click', async () => {
  await navigator.clipboard.writeText(copy.previousElementSibling.textContent);
  copy.textContent = 'Copied';
});
