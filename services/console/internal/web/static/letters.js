// Acting on dead letters: everything goes through the REST of this door, as `troupe dead-letters` does.
import { el } from './console.js';

const outcome = document.getElementById('outcome');
const me = document.querySelector('meta[name=subject]')?.content; // who is signed in: nobody is asked, then

function say(text, how = '') {
  outcome.className = how;
  outcome.textContent = text;
}

async function call(method, path, body) {
  const answer = await fetch(path, {
    method, headers: { 'content-type': 'application/json', prefer: 'wait=20' }, body: body && JSON.stringify(body),
  });
  const said = await answer.json();
  if (answer.ok) return said;
  const fields = (said.errors ?? []).map((e) => `${e.field}: ${e.detail}`).join('; ');
  throw new Error(fields || said.detail || said.title);
}

const endings = {
  done: (s) => [`Done: ${s.redriven} came back.`, 'good'],
  failed: (s) => [`Failed again (${s.class}): ${s.message} ${s.redriven} came back, ${s.waiting} wait on.`, 'bad'],
  refused: (s) => [`Not done: ${s.message}`, 'bad'],
  waiting: (s) => [`Asked; no answer yet (request ${s.request_id}). It is kept in the log and will be answered.`, 'warn'],
};

// A dialog that asks one thing and returns what was put in, or nothing.
function ask(title, fields, verb) {
  return new Promise((resolve) => {
    const form = el('form', { method: 'dialog' }, el('h2', {}, title), ...fields,
      el('p', {}, el('button', { class: 'primary', value: 'yes' }, verb), ' ', el('button', { value: 'no', formnovalidate: true }, 'Cancel')));
    const dialog = el('dialog', {}, form);
    dialog.addEventListener('close', () => {
      resolve(dialog.returnValue === 'yes' ? Object.fromEntries(new FormData(form)) : undefined);
      dialog.remove();
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

const field = (label, input) => el('label', { class: 'field' }, label, input);
const by = () => me ? '' : field('Who you are', el('input', { name: 'by', required: true, maxlength: 100, value: localStorage.getItem('by') ?? '' }));
const remember = (who) => { if (who) localStorage.setItem('by', who); return me ?? who; };
const reason = (required) => el('input', { name: 'reason', required, maxlength: 500 });

// Lines of two texts: what went, what came, what stayed (longest common subsequence).
export function diff(before, after) {
  const a = before.split('\n'), b = after.split('\n');
  const l = Array.from({ length: a.length + 1 }, () => new Uint32Array(b.length + 1));
  for (let i = a.length - 1; i >= 0; i--) for (let j = b.length - 1; j >= 0; j--) l[i][j] = a[i] === b[j] ? l[i + 1][j + 1] + 1 : Math.max(l[i + 1][j], l[i][j + 1]);
  const lines = [];
  for (let i = 0, j = 0; i < a.length || j < b.length;) {
    if (i < a.length && j < b.length && a[i] === b[j]) lines.push(['same', '  ' + a[i++]]), j++;
    else if (i < a.length && (j === b.length || l[i + 1][j] >= l[i][j + 1])) lines.push(['went', '- ' + a[i++]]);
    else lines.push(['came', '+ ' + b[j++]]);
  }
  return lines;
}

const chain = document.getElementById('chain');
const form = document.getElementById('act');
if (form) {
  form.hidden = false;
  if (form.by) form.by.value = localStorage.getItem('by') ?? '';
  for (const acts of document.querySelectorAll('.acts')) acts.hidden = false;
  const at = `/api/dead-letters/${encodeURIComponent(chain.dataset.participant)}/${encodeURIComponent(chain.dataset.order)}`;

  const act = async (what, more) => {
    const who = remember(form.by?.value);
    say('Asked, waiting for the outcome…');
    try {
      const s = await call('POST', `${at}/${what}`, { by: who, ...(form.reason.value && { reason: form.reason.value }), ...more });
      say(...endings[s.state](s));
      if (s.state !== 'waiting') await refresh();
    } catch (err) {
      say(err.message, 'bad');
    }
  };

  // What is shown is fetched again, the words about the outcome stay.
  const refresh = async () => {
    const page = new DOMParser().parseFromString(await (await fetch(location.pathname)).text(), 'text/html');
    const [old, fresh] = [chain.querySelectorAll('.letter, .empty'), page.querySelectorAll('#chain .letter, #chain .empty')];
    for (const l of old) l.remove();
    outcome.after(...fresh);
    for (const acts of document.querySelectorAll('.acts')) acts.hidden = false;
    form.hidden = page.getElementById('act') === null;
  };

  const ready = (needsReason) => {
    form.reason.required = needsReason;
    const fine = form.reportValidity();
    form.reason.required = false;
    return fine;
  };

  form.addEventListener('submit', (e) => {
    e.preventDefault();
    act('redrive', form.force.checked ? { force: true } : {});
  });

  chain.addEventListener('click', async (e) => {
    const letter = e.target.closest('.letter')?.dataset.letter;
    if (e.target.matches('[data-discard]') && ready(true)) {
      if (await ask('Discard this letter for good?', [el('p', {}, 'Its event will never be answered. What stands behind it waits on.')], 'Discard')) act('discard', { letter_id: letter });
    }
    if (e.target.matches('[data-edit]') && ready(true)) {
      const before = e.target.closest('.letter').querySelector('.payload')?.textContent ?? '{}';
      const text = el('textarea', { name: 'payload', rows: 16, cols: 70, spellcheck: 'false', class: 'mono' });
      text.value = before;
      const shown = el('pre', { class: 'diff', 'aria-label': 'What changes' });
      const compare = () => shown.replaceChildren(...diff(before, text.value).filter(([how]) => how !== 'same').map(([how, line]) => el('span', { class: how }, line + '\n')));
      text.addEventListener('input', compare);
      const put = await ask('Edit the payload and redrive', [field('Payload', text), shown], 'Redrive with this payload');
      if (!put) return;
      try {
        act('edit', { letter_id: letter, payload: JSON.parse(put.payload) });
      } catch (err) {
        say(`The payload is not JSON: ${err.message}`, 'bad');
      }
    }
  });
}

// heads are the heads of all chains of a group, read page by page before anything is asked: a chain that fails comes again in the list.
async function heads(group) {
  const all = [];
  for (let next = ''; ;) {
    const page = await call('GET', `/api/dead-letters?${new URLSearchParams({ ...group, page_size: 200, page_token: next })}`);
    all.push(...page.letters);
    if (!(next = page.next_page_token)) return all;
  }
}

// One chain after the other: the next is asked for when the one before was answered, so no participant is flooded. It ends with the page.
for (const button of document.querySelectorAll('[data-bulk]')) {
  button.hidden = false;
  button.addEventListener('click', async () => {
    const { participant, class: cause, type } = button.dataset;
    try {
      const all = await heads({ participant, class: cause, ...(type && { type }) });
      const put = await ask('Redrive this group?', [
        el('p', {}, `${all.length} orders, one after the other, while this page is open. To go on without it: troupe dead-letters redrive --participant ${participant} --class ${cause}${type && ` --type ${type}`}`),
        by(), field('Why', reason(false))], 'Redrive');
      if (!put) return;
      const who = remember(put.by);
      const count = { done: 0, failed: 0, refused: 0, waiting: 0 };
      for (const { participant: at, order_id: order } of all) {
        const path = `/api/dead-letters/${encodeURIComponent(at)}/${encodeURIComponent(order)}/redrive`;
        const { state } = await call('POST', path, { by: who, ...(put.reason && { reason: put.reason }) }).catch(() => ({ state: 'refused' }));
        count[state]++;
        say(`${count.done} of ${all.length} came back, ${count.failed} failed again, ${count.refused} were refused, ${count.waiting} wait for an answer.`,
          count.failed + count.refused ? 'bad' : 'good');
      }
    } catch (err) {
      say(err.message, 'bad');
    }
  });
}
