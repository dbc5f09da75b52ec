// The switch on a guest's page. It never moves before the home has confirmed: pending, confirmed, refused,
// timed out and offline each have their own look and words.

import { end, show, state } from './guest.js';

const form = document.getElementById('control');
const flip = document.getElementById('flip');
const outcome = document.getElementById('outcome');
const sentences = document.getElementById('outcomes').content;

/** A little longer than the broker waits for the home. */
const PATIENCE = 15_000;
/** How long "Done." stays. */
const STAYS = 4_000;

let pending = false;
let clearing = null;

function stand() {
  const on = state() === 'on';
  flip.setAttribute('aria-checked', on);
  // Neither on nor off: there is nothing to press until the device is back.
  flip.disabled = state() === 'unavailable';
  form.elements.action.value = on ? 'turn_off' : 'turn_on';
}

function look(name, reason) {
  clearTimeout(clearing);
  flip.dataset.look = name;
  outcome.dataset.look = name;
  const exact = reason && sentences.querySelector(`[data-look="${name}"][data-reason="${CSS.escape(reason)}"]`);
  const sentence = exact || sentences.querySelector(`[data-look="${name}"]`);
  outcome.textContent = sentence ? sentence.textContent : '';
  if (name === 'confirmed') clearing = setTimeout(look, STAYS, '');
}

async function ask(action) {
  // Not form.action: the buttons are called "action" and stand before the attribute.
  const answer = await fetch(form.getAttribute('action'), {
    method: 'POST',
    headers: { accept: 'application/json', 'content-type': 'application/json' },
    body: JSON.stringify({ action }),
    signal: AbortSignal.timeout(PATIENCE),
  });
  const said = await answer.json();
  if (answer.ok) {
    show(said.entity);
    return ['confirmed'];
  }
  switch (said.error) {
    case 'timed_out': return ['timed-out'];
    case 'offline': return ['offline'];
    case 'too_many_requests': return ['refused', said.error];
    default:
      if (answer.status === 403) end();
      return ['refused', said.reason];
  }
}

form.addEventListener('submit', async (event) => {
  event.preventDefault();
  if (pending) return;
  pending = true;
  flip.setAttribute('aria-busy', 'true');
  look('pending');
  try {
    look(...await ask(form.elements.action.value));
  } catch (fault) {
    look(fault.name === 'TimeoutError' ? 'timed-out' : 'offline');
  } finally {
    pending = false;
    flip.removeAttribute('aria-busy');
    stand();
  }
});

document.addEventListener('latchkey:entity', stand);
stand();
