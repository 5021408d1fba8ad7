'use strict';
// The page of reqmail serve. What comes from mail is only ever put into the
// document as text (textContent), never as markup.

const byId = id => document.getElementById(id);
const kept = 'reqmail-token'; // in sessionStorage: this tab alone
let token = sessionStorage.getItem(kept) || '';
let holder = null;     // what the token may do
let shown = [];        // messages in the table
let chosen = new Set(); // their names
let filter = {};
let refreshing = false;

// ---- the API

class Refused extends Error {
  constructor(status, text) { super(text); this.status = status; }
}

async function ask(method, path, body) {
  const options = { method, headers: { Authorization: 'Bearer ' + token }, credentials: 'omit', cache: 'no-store' };
  if (body !== undefined) {
    options.headers['Content-Type'] = 'application/json';
    options.body = JSON.stringify(body);
  }
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new Refused(0, 'The service does not answer.');
  }
  if (answer.ok) return answer;
  let text = 'HTTP ' + answer.status;
  try { text = (await answer.json()).error || text; } catch { /* no JSON: the number must do */ }
  throw new Refused(answer.status, text);
}

const get = async path => (await ask('GET', path)).json();
const post = async (path, body) => (await ask('POST', path, body)).json();

// ---- what people read

function size(bytes) {
  if (bytes < 1000) return bytes + ' B';
  const units = ['kB', 'MB', 'GB', 'TB'];
  let n = bytes, u = -1;
  while (n >= 1000 && u < units.length - 1) { n /= 1000; u++; }
  return n.toFixed(n < 10 ? 1 : 0) + ' ' + units[u];
}

function span(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return s + ' s';
  if (s < 3600) return Math.floor(s / 60) + ' min';
  if (s < 86400) return Math.floor(s / 3600) + ' h ' + Math.floor(s % 3600 / 60) + ' min';
  return Math.floor(s / 86400) + ' d ' + Math.floor(s % 86400 / 3600) + ' h';
}

const now = () => Date.now() / 1000;
const when = t => t ? new Date(t * 1000).toLocaleString() : '';

function nextTry(m) {
  if (m.state === 'active') return 'under way';
  if (!m.nextTry) return 'none';
  if (!m.tries && m.nextTry <= now()) return 'ASAP';
  return m.nextTry <= now() ? 'now' : 'in ' + span(m.nextTry - now());
}

const sender = s => s === '' ? '<>' : s;

function recipients(m) {
  const list = m.recipients || [];
  if (!list.length) return m.trouble || '';
  const more = m.count > 1 ? ' +' + (m.count - 1) : '';
  return list[0].address + more;
}

// ---- the document

function element(name, text, className) {
  const e = document.createElement(name);
  if (text !== undefined) e.textContent = text;
  if (className) e.className = className;
  return e;
}

function cell(row, label, content, className) {
  const td = element('td', undefined, className);
  if (content === '') td.classList.add('nothing');
  td.dataset.label = label;
  td.append(content); // a string becomes a text node
  row.append(td);
}

function nameButton(name) {
  const b = element('button', name.split('.')[0], 'name');
  b.type = 'button';
  b.addEventListener('click', () => attempt(() => detail(name)));
  return b;
}

function status(m) {
  const box = element('div');
  box.append(element('span', m.state, 'state ' + m.state));
  if (m.area) box.append(' ', element('span', m.area, 'state'));
  const reason = (m.hold && m.hold.reason) || m.reason;
  if (reason) box.append(element('span', reason, 'reason'));
  return box;
}

function choice(m) {
  const box = element('input');
  box.type = 'checkbox';
  box.checked = chosen.has(m.name);
  box.setAttribute('aria-label', 'choose message ' + m.id);
  box.addEventListener('change', () => {
    if (box.checked) chosen.add(m.name); else chosen.delete(m.name);
    count();
  });
  return box;
}

function messageRow(m) {
  const row = element('tr');
  cell(row, '', choice(m), 'choice');
  cell(row, 'Message', nameButton(m.name), 'tight');
  cell(row, 'Age', span(now() - m.birth), 'tight');
  cell(row, 'Next try', nextTry(m), 'tight');
  cell(row, 'Size', size(m.size), 'number');
  cell(row, 'From', sender(m.sender));
  cell(row, 'To', recipients(m));
  cell(row, 'Tries', String(m.tries), 'number');
  cell(row, 'Status', status(m));
  return row;
}

function deliveryRow(d) {
  const row = element('tr');
  cell(row, 'Message', nameButton(d.name), 'tight');
  cell(row, 'From', sender(d.sender));
  cell(row, 'To', d.recipient);
  cell(row, 'Phase', d.channel + ': ' + d.phase, 'tight');
  cell(row, 'Server', d.host || '');
  cell(row, 'Time', span(now() - d.since), 'number');
  cell(row, 'Sent', d.sent ? Math.min(100, Math.floor(100 * d.sent / Math.max(1, d.size))) + ' %' : '', 'number');
  return row;
}

function ruleRow(r) {
  const row = element('tr');
  cell(row, 'Order', r.verb);
  cell(row, 'Mail', r.destination ? 'to ' + r.destination : r.senderDomain ? 'from ' + r.senderDomain : r.channel);
  cell(row, 'Until', r.until ? when(r.until) : 'cancelled');
  cell(row, 'Reason', r.reason || '');
  const end = element('button', 'Cancel', 'plain');
  end.type = 'button';
  end.hidden = !holder.act;
  end.addEventListener('click', () => attempt(async () => {
    await ask('DELETE', 'api/v1/rules/' + r.number);
    await refresh();
  }));
  cell(row, '', end);
  return row;
}

function counts(s) {
  const list = [
    ['Messages', s.messages], ['Volume', size(s.bytes)], ['Unprocessed', s.todo], ['Held', s.held],
    ['Local', s.local.running + ' of ' + s.local.allowed], ['Remote', s.remote.running + ' of ' + s.remote.allowed],
    ['Oldest', s.oldest ? span(s.now - s.oldest.birth) : 'none'],
    ['Delivered 1 h', s.hour.delivered], ['Deferred 1 h', s.hour.deferred],
  ];
  byId('counts').replaceChildren(...list.map(([name, value]) => {
    const box = element('div');
    box.append(element('dt', name), element('dd', String(value)));
    return box;
  }));
}

function count() {
  byId('acts').classList.toggle('none', chosen.size === 0);
  byId('chosen').textContent = chosen.size + ' chosen';
  for (const b of byId('acts').querySelectorAll('[data-verb]')) b.disabled = chosen.size === 0;
  byId('all').checked = shown.length > 0 && chosen.size === shown.length;
}

function trouble(text) {
  byId('trouble').textContent = text || '';
  byId('trouble').hidden = !text;
}

// attempt does what may fail and shows why it did.
async function attempt(what) {
  try {
    await what();
  } catch (e) {
    if (e.status === 401) leave();
    trouble(e.status === 401 ? 'This token is not known.' : e.message);
  }
}

// ---- looking

async function refresh() {
  if (refreshing) return;
  refreshing = true;
  try {
    const whole = !holder.domains;
    const query = new URLSearchParams(Object.entries(filter).filter(([, v]) => v !== ''));
    const [list, live, state, orders] = await Promise.all([
      get('api/v1/messages?' + query), get('api/v1/deliveries'),
      whole ? get('api/v1/status') : null, whole ? get('api/v1/rules') : null,
    ]);
    shown = list.messages;
    const names = new Set(shown.map(m => m.name));
    chosen = new Set([...chosen].filter(n => names.has(n)));
    byId('rows').replaceChildren(...shown.map(messageRow));
    byId('live').replaceChildren(...live.deliveries.map(deliveryRow));
    byId('idle').hidden = live.deliveries.length > 0;
    const total = list.total < 0 ? 'more' : list.total;
    byId('found').textContent = shown.length ? shown.length + ' of ' + total + ' shown' : 'No message.';
    if (state) counts(state);
    if (orders) {
      byId('rules').replaceChildren(...orders.rules.map(ruleRow));
      byId('norules').hidden = orders.rules.length > 0;
    }
    count();
    trouble('');
  } finally {
    refreshing = false;
  }
}

async function detail(name) {
  const m = await get('api/v1/messages/' + encodeURIComponent(name));
  byId('detail-title').textContent = 'Message ' + m.name;
  const lines = [
    ['State', m.state + (m.area ? ', ' + m.area : '')], ['From', sender(m.sender)], ['Size', m.size + ' bytes'],
    ['Queued', when(m.birth)], ['Next try', m.nextTry ? when(m.nextTry) : 'none'], ['Tries', m.tries],
    ['Recipients', m.left + ' of ' + m.count + ' left'],
  ];
  if (m.hold) lines.push(['Held', 'since ' + when(m.hold.since) + (m.hold.until ? ' until ' + when(m.hold.until) : '') + (m.hold.reason ? ': ' + m.hold.reason : '') + '. It does not expire while it is held.']);
  if (m.notBefore) lines.push(['Postponed', 'until ' + when(m.notBefore)]);
  if (m.expireAt) lines.push(['Expires', when(m.expireAt)]);
  if (m.trouble) lines.push(['Trouble', m.trouble]);
  byId('envelope').replaceChildren(...lines.flatMap(([k, v]) => [element('dt', k), element('dd', String(v))]));
  byId('recipients').replaceChildren(...(m.recipients || []).map(r => {
    const li = element('li', r.address + ' (' + r.channel + (r.done ? ', done)' : ')'));
    if (r.reason) li.append(element('span', r.reason, 'reason'));
    return li;
  }));
  byId('whole').onclick = () => attempt(() => text(name, 'all'));
  byId('text').textContent = '';
  if (!byId('detail').open) byId('detail').showModal();
  await text(name, 'header');
}

async function text(name, part) {
  const answer = await ask('GET', 'api/v1/messages/' + encodeURIComponent(name) + '/text?part=' + part);
  byId('text').textContent = await answer.text();
}

// ---- acting

const orders = {
  retry: { verb: 'retry', words: 'Try' },
  hold: { verb: 'hold', words: 'Hold', why: true },
  release: { verb: 'release', words: 'Release' },
  postpone: { verb: 'postpone', words: 'Postpone by an hour', until: () => Math.floor(now()) + 3600 },
  expire: { verb: 'expire', words: 'Give a last try to', until: () => Math.floor(now()) },
  bounce: { verb: 'remove', bounce: true, words: 'Return to the sender', why: true },
  remove: { verb: 'remove', words: 'Remove for good, without telling anybody,' },
};

// sure asks a question and resolves to the reason that was typed, or to null.
function sure(question, why) {
  const box = byId('ask');
  byId('question').textContent = question;
  byId('why').hidden = !why;
  byId('reason').value = '';
  box.showModal();
  return new Promise(resolve => {
    const end = answer => { box.onclose = null; box.close(); resolve(answer); };
    byId('yes').onclick = () => end(byId('reason').value);
    byId('no').onclick = () => end(null);
    box.onclose = () => end(null);
  });
}

async function act(what) {
  const order = orders[what];
  const body = { verb: order.verb, names: [...chosen] };
  if (order.bounce) body.bounce = true;
  if (order.until) body.until = order.until();
  const messages = n => n === 1 ? '1 message' : n + ' messages';
  if (chosen.size > 1 || order.why || order.verb === 'remove') {
    const would = await post('api/v1/acts', { ...body, dryRun: true });
    const but = would.failed ? ' ' + messages(would.failed) + ' cannot be: ' + would.failures[0].reason + '.' : '';
    const reason = await sure(order.words + ' ' + messages(would.touched) + '?' + but, order.why);
    if (reason === null) return;
    if (reason) body.reason = reason;
  }
  const result = await post('api/v1/acts', body);
  chosen.clear();
  await refresh();
  if (result.failed) trouble(messages(result.failed) + ' not touched: ' + result.failures[0].reason);
}

async function addRule(form) {
  const fields = Object.fromEntries(new FormData(form));
  const body = { verb: fields.verb, [fields.kind]: fields.which };
  if (fields.span) body.until = Math.floor(now()) + Number(fields.span);
  if (fields.reason) body.reason = fields.reason;
  const would = await post('api/v1/rules', { ...body, dryRun: true });
  if (await sure('This applies to ' + would.touched + ' messages in the queue now, and to new mail. Go on?', false) === null) return;
  await post('api/v1/rules', body);
  form.reset();
  await refresh();
}

// ---- coming and going

function leave() {
  token = '';
  holder = null;
  sessionStorage.removeItem(kept);
  for (const id of ['rows', 'live', 'rules', 'counts']) byId(id).replaceChildren();
  for (const id of ['main', 'leave']) byId(id).hidden = true;
  byId('summary').textContent = '';
  for (const id of ['ask', 'detail']) byId(id).close();
  byId('enter').hidden = false;
  byId('token').focus();
}

async function enter() {
  holder = await get('api/v1/token');
  sessionStorage.setItem(kept, token);
  byId('enter').hidden = true;
  byId('main').hidden = byId('leave').hidden = false;
  byId('summary').textContent = holder.name + (holder.act ? '' : ', read only') + (holder.domains ? ', ' + holder.domains.join(', ') : '');
  byId('acts').hidden = !holder.act;
  byId('messages').classList.toggle('readonly', !holder.act);
  byId('orders').hidden = byId('counts').hidden = Boolean(holder.domains);
  byId('newrule').hidden = !holder.act;
  byId('flush').hidden = !holder.act || Boolean(holder.domains);
  readFilter();
  await refresh();
}

function readFilter() { filter = Object.fromEntries(new FormData(byId('filter'))); }

byId('enter').addEventListener('submit', e => {
  e.preventDefault();
  token = byId('token').value.trim();
  byId('token').value = '';
  attempt(enter);
});
byId('leave').addEventListener('click', () => { leave(); trouble(''); });
byId('filter').addEventListener('submit', e => { e.preventDefault(); readFilter(); attempt(refresh); });
byId('filter').addEventListener('reset', () => setTimeout(() => { readFilter(); attempt(refresh); }));
byId('newrule').addEventListener('submit', e => { e.preventDefault(); attempt(() => addRule(e.target)); });
byId('close').addEventListener('click', () => byId('detail').close());
byId('flush').addEventListener('click', () => attempt(async () => {
  if (await sure('Try everything now that is not held or postponed?', false) === null) return;
  await post('api/v1/flush', {});
  await refresh();
}));
byId('all').addEventListener('change', e => {
  chosen = new Set(e.target.checked ? shown.map(m => m.name) : []);
  byId('rows').replaceChildren(...shown.map(messageRow));
  count();
});
byId('acts').addEventListener('click', e => {
  if (e.target.dataset.verb) attempt(() => act(e.target.dataset.verb));
});

// The table is renewed while nobody is in the middle of something.
setInterval(() => {
  const busy = document.hidden || document.querySelector('dialog[open]') || document.activeElement.closest('tbody');
  if (holder && !busy) attempt(refresh);
}, 5000);

if (matchMedia('(max-width: 700px)').matches) byId('filters').open = false;
if (token) attempt(enter); else leave();
