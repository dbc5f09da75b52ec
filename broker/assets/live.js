// Keeps the lights, the outages and "last used" of the dashboard fresh: asks every 5 s while the page is seen.
//
// It asks, and does not hold a stream open: a browser opens six connections to one origin over HTTP/1.1, so a few
// tabs with a stream each would leave none for the pages themselves; a question also finds out that one was signed
// out. An answer costs the server next to nothing: the lights lie in its memory.
import { say } from './time.js';

const root = document.querySelector('[data-live]');
const EVERY = 5000;
const MOST = 30_000;
const SLOW = 4000;
const stale = root?.querySelector('[data-stale]');
let wait = EVERY;
let timer;

function moment(element, at) {
  element.hidden = !at;
  if (!at || element.dateTime === at.iso) return;
  element.dateTime = at.iso;
  say(element);
}

function text(element, words) {
  if (element.textContent !== words) element.textContent = words;
}

function hop(element, light) {
  const words = element.querySelector('[data-words]');
  words.className = light.colour;
  text(words, light.words);
  moment(element.querySelector('[data-since]'), light.since);
  for (const part of ['why', 'help', 'detail']) optional(element.querySelector(`[data-${part}]`), light[part]);
}

function optional(element, words) {
  if (!element) return;
  element.hidden = !words;
  text(element.querySelector('bdi') ?? element, words ?? '');
}

/** The outages are few: the list is made anew when anything about it has changed. */
function past({ lines, next, mark }) {
  const list = root.querySelector('[data-past]');
  if (!list || list.dataset.past === mark) return;
  list.dataset.past = mark;
  const pattern = root.querySelector('[data-past-line]').content;
  list.replaceChildren(...lines.map((line) => outage(pattern.cloneNode(true), line)));
  list.hidden = lines.length === 0;
  root.querySelector('[data-past-none]').hidden = lines.length > 0;
  root.querySelector('[data-past-more]').hidden = next === null;
}

function outage(piece, line) {
  piece.querySelector('[data-light]').className = line.colour;
  text(piece.querySelector('[data-words]'), line.words);
  text(piece.querySelector('[data-name]'), line.name);
  text(piece.querySelector('[data-lasted]'), line.lasted);
  moment(piece.querySelector('[data-at]'), line.at);
  text(piece.querySelector('[data-why]'), line.why ?? '');
  optional(piece.querySelector('[data-detail]'), line.detail);
  return piece;
}

function used(element, at) {
  let time = element.querySelector('time');
  if (!time) {
    time = document.createElement('time');
    time.dataset.ago = '';
    element.replaceChildren(time);
  }
  moment(time, at);
}

function show(now) {
  for (const [key, light] of Object.entries(now.hops)) {
    const element = root.querySelector(`[data-hop="${CSS.escape(key)}"]`);
    if (element) hop(element, light);
  }
  if (now.past) past(now.past);
  for (const [id, at] of Object.entries(now.used)) {
    const element = root.querySelector(`[data-used="${CSS.escape(id)}"]`);
    if (element) used(element, at);
  }
  for (const element of root.querySelectorAll('[data-said]')) {
    const said = now.said[element.dataset.said];
    element.hidden = said === undefined;
    text(element, said ?? '');
  }
  // What waited for the home (the guide, the list of devices) is made by the server. Once is enough: a home
  // that comes and goes must not make the page jump for ever.
  const shares = root.querySelector('[data-shares]');
  const turned = shares !== null && (shares.dataset.shares === 'yes') !== now.shares;
  if (now.online && (turned || (root.querySelector('[data-until-online]') && !once()))) location.reload();
}

function once() {
  const key = `latchkey-online-${location.pathname}`;
  const before = Number(sessionStorage.getItem(key) ?? 0);
  sessionStorage.setItem(key, String(Date.now()));
  return Date.now() - before < 20_000;
}

async function ask() {
  clearTimeout(timer);
  if (document.hidden) return;
  const slow = setTimeout(() => { if (stale) stale.hidden = false; }, SLOW);
  try {
    const answer = await fetch(root.dataset.live, { headers: { accept: 'application/json' }, cache: 'no-store', signal: AbortSignal.timeout(10_000) });
    // Signed out meanwhile, or the home is gone: the page itself says so.
    if ([401, 404].includes(answer.status)) return location.reload();
    if (!answer.ok) throw new Error(String(answer.status));
    show(await answer.json());
    wait = EVERY;
    if (stale) stale.hidden = true;
  } catch {
    wait = Math.min(wait * 2, MOST);
    if (stale) stale.hidden = false;
  } finally {
    clearTimeout(slow);
  }
  timer = setTimeout(ask, wait * (0.9 + Math.random() / 5));
}

if (root) {
  timer = setTimeout(ask, EVERY);
  document.addEventListener('visibilitychange', ask);
  addEventListener('online', ask);
}
