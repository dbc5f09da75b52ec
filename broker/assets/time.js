// Keeps every `<time data-ago datetime="…">` fresh ("3 minutes ago"), in the page's language.
//
// The server has said it once in words already; this only keeps it true while the page stays open.
// Call `say(element)` after changing an element's datetime; new elements are found at the next turn.

const words = new Intl.RelativeTimeFormat(document.documentElement.lang || 'en', { numeric: 'auto' });
const full = new Intl.DateTimeFormat(document.documentElement.lang || 'en', { dateStyle: 'medium', timeStyle: 'short' });
const units = [['year', 31_557_600], ['month', 2_629_800], ['week', 604_800], ['day', 86_400], ['hour', 3600], ['minute', 60]];

/** Says a moment relative to now; `at` is milliseconds since the Unix epoch. */
export function ago(at, now = Date.now()) {
  const seconds = Math.round((at - now) / 1000);
  for (const [unit, length] of units) {
    if (Math.abs(seconds) >= length) return words.format(Math.trunc(seconds / length), unit);
  }
  return words.format(0, 'second');
}

/** Writes one element's words, and the whole date where a pointer rests on it. */
export function say(element) {
  const at = Date.parse(element.dateTime);
  if (Number.isNaN(at)) return;
  const text = ago(at);
  if (element.textContent !== text) element.textContent = text;
  element.title = full.format(at);
}

function all() {
  if (!document.hidden) document.querySelectorAll('time[data-ago]').forEach(say);
}

all();
setInterval(all, 20_000);
document.addEventListener('visibilitychange', all);
