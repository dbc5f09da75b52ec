// The share form: tells the server how far the owner's clock is from UTC on the chosen day, so that a day ends
// at their midnight.
const date = document.querySelector('input[name=date]');
const offset = document.querySelector('input[name=offset]');

function tell() {
  const day = date.value ? new Date(`${date.value}T23:59:59`) : new Date();
  offset.value = String(day.getTimezoneOffset());
}

tell();
date.addEventListener('change', tell);
date.form.addEventListener('submit', tell);
