// A guest's page: keeps the one thing on it true.
//
// Changes come over a WebSocket; where that is blocked the page asks every five seconds instead, as long as
// anybody looks at it. A page whose link has ended says so and stops.

import { say } from './time.js';

const page = document.getElementById('guest');
const path = page.dataset.path;
const at = (id) => document.getElementById(id);

const POLL = 5_000;
const LONGEST = 5_000;
/** The close code of a link that was revoked or has lapsed. */
const REVOKED = 4403;

let socket = null;
let failures = 0;
let opened = false;
let polling = null;
let retrying = null;
let over = false;

/** The page's present state text, such as `on`. */
export const state = () => page.dataset.state;

/** Shows an entity as it came in JSON. */
export function show(entity) {
  page.dataset.state = entity.state;
  write(at('name').firstElementChild, entity.name);
  write(at('area').firstElementChild, entity.area ?? '');
  at('area').hidden = !entity.area;
  write(at('state').firstElementChild, inWords(entity));
  document.title = `${entity.name} · Latchkey`;
  moment(at('changed'), entity.last_changed);
  at('when').hidden = entity.last_changed === null;
  document.dispatchEvent(new CustomEvent('latchkey:entity'));
}

/** The link has ended: nothing of the home stays on the page. */
export function end() {
  over = true;
  clearTimeout(retrying);
  stopPolling();
  at('thing').remove();
  for (const id of ['line', 'by']) at(id).hidden = true;
  page.dataset.state = '';
  document.querySelector('.crumbs').remove();
  document.title = 'Latchkey';
  at('revoked').hidden = false;
  at('revoked').focus();
}

function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function moment(element, millis) {
  if (millis === null) return;
  element.dateTime = new Date(millis).toISOString();
  say(element);
}

/** The same words as `portal/say.rs`. */
function inWords({ state, attributes }) {
  const words = JSON.parse(page.dataset.words);
  if (Object.hasOwn(words, state)) return words[state];
  const unit = attributes.unit_of_measurement;
  if (unit && state.trim() !== '' && Number.isFinite(Number(state))) {
    return unit === '%' || unit === '°' ? state + unit : `${state}\u00a0${unit}`;
  }
  if (!/^[a-z_]+$/.test(state)) return state;
  const plain = state.replaceAll('_', ' ');
  return plain[0].toUpperCase() + plain.slice(1);
}

function home({ online, since }) {
  page.dataset.online = online;
  at('offline').hidden = online;
  at('offline-since').hidden = since === null;
  moment(at('since'), since);
  line();
}

/** What the page hangs on: `live`, `polling` or `again`. While the home is away that is what matters. */
function line(held = at('line').dataset.held) {
  const element = at('line');
  const now = held !== 'again' && page.dataset.online === 'false' ? 'offline' : held;
  element.dataset.held = held;
  if (element.dataset.now === now) return;
  element.dataset.now = now;
  for (const part of element.children) part.hidden = part.dataset.when !== now;
}

function connect() {
  clearTimeout(retrying);
  opened = false;
  const address = new URL(`${path}/live`, location.href);
  address.protocol = location.protocol === 'https:' ? 'wss:' : 'ws:';
  socket = new WebSocket(address);
  socket.onopen = () => {
    opened = true;
    failures = 0;
    stopPolling();
    line('live');
  };
  socket.onmessage = ({ data }) => {
    const word = JSON.parse(data);
    if (word.type === 'state') show(word.entity);
    else if (word.type === 'home') home(word);
  };
  socket.onclose = ({ code }) => {
    socket = null;
    if (code === REVOKED) end();
    else if (!over) again();
  };
}

/** Tries once more, later and later but never much; asks in between, for a handshake that fails tells no reason. */
function again() {
  failures += 1;
  if (polling === null) line('again');
  if (!opened) startPolling();
  const wait = Math.min(LONGEST, 500 * 2 ** Math.min(failures, 4));
  retrying = setTimeout(connect, wait / 2 + Math.random() * (wait / 2));
}

function startPolling() {
  if (polling !== null) return;
  polling = setInterval(poll, POLL);
  poll();
}

function stopPolling() {
  clearInterval(polling);
  polling = null;
}

async function poll() {
  if (document.hidden || over) return;
  try {
    const answer = await fetch(`${path}/state`, {
      method: 'POST',
      headers: { accept: 'application/json' },
      signal: AbortSignal.timeout(POLL),
    });
    if (over || polling === null) return;
    if (answer.status === 403) return end();
    if (!answer.ok) return line('again');
    const said = await answer.json();
    if (over || polling === null) return;
    show(said.entity);
    line('polling');
    home(said.home);
  } catch {
    if (polling !== null) line('again');
  }
}

/** What changed while nobody looked is asked for at once. */
function seen() {
  if (document.hidden || over) return;
  if (polling !== null) poll();
  if (socket === null) connect();
}

document.addEventListener('visibilitychange', seen);
addEventListener('online', seen);
// A page that comes back from the browser's memory has lost its socket.
addEventListener('pageshow', ({ persisted }) => { if (persisted) seen(); });

connect();
