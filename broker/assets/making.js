// Follows a home's tunnel while it is made or deleted: moves the bar, and loads the page again when it is done.
const root = document.querySelector('[data-making]');
const EVERY = 1000;
const MOST = 15_000;
let wait = EVERY;
let timer;

async function ask() {
  clearTimeout(timer);
  if (document.hidden) return;
  try {
    const answer = await fetch(root.dataset.making, { headers: { accept: 'application/json' }, cache: 'no-store', signal: AbortSignal.timeout(10_000) });
    // Deleted for good, or signed out: the list of homes, or the way in, says so.
    if ([401, 404].includes(answer.status)) return location.assign('/');
    if (!answer.ok) throw new Error(String(answer.status));
    const now = await answer.json();
    const wasWrong = root.querySelector('[role=alert]') !== null;
    if (now.state !== root.dataset.state || Boolean(now.wrong) !== wasWrong) return location.reload();
    const bar = root.querySelector('[data-step]');
    if (bar) bar.value = now.step;
    // Who waits for somebody to do something need not be asked every second.
    wait = wasWrong ? 5000 : EVERY;
  } catch {
    wait = Math.min(wait * 2, MOST);
  }
  timer = setTimeout(ask, wait);
}

if (root) {
  timer = setTimeout(ask, EVERY);
  document.addEventListener('visibilitychange', ask);
}
