// Keeps every `<time data-ago datetime="…">` fresh ("3 minutes ago"), in the page's language.
//
// The server has said it once in words already; this only keeps it true while the page stays open.
// Call `say(element)` after changing an element's datetime; new elements are found at the next turn.
// The words are those of `broker/src/http/ago.rs`.

const language = document.documentElement.lang || 'en';
const words = new Intl.RelativeTimeFormat(language, { numeric: 'always' });
const now = new Intl.RelativeTimeFormat(language, { numeric: 'auto' }).format(0, 'second');
const full = new Intl.DateTimeFormat(language, { dateStyle: 'medium', timeStyle: 'short' });
const units = [['year', 31_557_600], ['month', 2_629_800], ['week', 604_800], ['day', 86_400], ['hour', 3600], ['minute', 60]];

/** Says a moment relative to now, the future to the nearest unit; `at` is milliseconds since the Unix epoch. */
export function ago(at) {
  const left = Math.trunc((at - Date.now()) / 1000);
  const seconds = left >= 60 ? Math.ceil(left / 60) * 60 : left;
  const whole = seconds < 0 ? Math.trunc : Math.round;
  for (const [unit, length] of units) {
    if (Math.abs(seconds) >= length) return words.format(whole(seconds / length), unit);
  }
  return now;
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
