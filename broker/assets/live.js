// Keeps the lights and "last used" of the dashboard fresh: asks every 5 s while the page is seen.
import { say } from './time.js';

const root = document.querySelector('[data-live]');
const EVERY = 5000;
const MOST = 60_000;
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
  const detail = element.querySelector('[data-detail]');
  detail.hidden = !light.detail;
  text(detail, light.detail ?? '');
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
  if (now.online && root.querySelector('[data-until-online]') && !once()) location.reload();
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
  try {
    const answer = await fetch(root.dataset.live, { headers: { accept: 'application/json' }, cache: 'no-store', signal: AbortSignal.timeout(10_000) });
    // Signed out meanwhile, or the home is gone: the page itself says so.
    if ([401, 404].includes(answer.status)) return location.reload();
    if (!answer.ok) throw new Error(String(answer.status));
    show(await answer.json());
    wait = EVERY;
  } catch {
    wait = Math.min(wait * 2, MOST);
  }
  timer = setTimeout(ask, wait * (0.9 + Math.random() / 5));
}

if (root) {
  timer = setTimeout(ask, EVERY);
  document.addEventListener('visibilitychange', ask);
  addEventListener('online', ask);
}
