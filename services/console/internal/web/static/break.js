// Breaks without leaving the page, and shows what is on as it changes. Without this script the buttons do the same.
const list = () => document.getElementById('breaks');
const outcome = document.getElementById('outcome');
let busy = false;

async function refresh() {
  const answer = await fetch('/break');
  if (!answer.ok) throw new Error('The playground does not answer.');
  put(await answer.text());
}

function put(html) {
  const fresh = new DOMParser().parseFromString(html, 'text/html').getElementById('breaks');
  if (!fresh) return false;
  const focused = document.activeElement?.closest('section')?.id;
  for (const select of list().querySelectorAll('select')) { // what was chosen stays
    const now = fresh.querySelector(`#${select.closest('section').id}:not(.on) select`);
    if (now) now.value = select.value;
  }
  list().replaceWith(document.adoptNode(fresh));
  if (focused) document.querySelector(`#${focused} button`)?.focus({ preventScroll: true });
  return true;
}

document.addEventListener('submit', async (e) => {
  const form = e.target;
  if (!form.closest('#breaks')) return;
  e.preventDefault();
  if (busy) return;
  busy = true;
  const title = form.closest('section').querySelector('h2').textContent;
  const mend = e.submitter?.value === 'mend';
  try {
    const answer = await fetch(form.action, { method: 'POST', body: new URLSearchParams(new FormData(form, e.submitter)) });
    const text = await answer.text();
    if (put(text)) outcome.textContent = `${title}: ${mend ? 'ended' : 'done'}.`;
    else outcome.textContent = `${title}: ${new DOMParser().parseFromString(text, 'text/html').querySelector('main')?.textContent.trim() || answer.statusText}`;
  } catch {
    outcome.textContent = `${title}: the console does not answer.`;
  } finally {
    busy = false;
  }
});

setInterval(() => {
  let over = false;
  for (const left of document.querySelectorAll('[data-left]')) {
    const s = Number(left.dataset.left) - 1;
    over ||= s < 0;
    left.dataset.left = s;
    left.textContent = Math.max(0, s);
  }
  if (over && !busy) refresh().catch(() => {}); // it is tried again in a second
}, 1000);
