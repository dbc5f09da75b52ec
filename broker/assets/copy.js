// Copy buttons: `<button hidden data-copy="id of what to copy" data-done="Copied">`, shown where copying works.
for (const button of document.querySelectorAll('[data-copy]')) {
  const source = document.getElementById(button.dataset.copy);
  const words = button.querySelector('span') ?? button;
  const before = words.textContent;
  let timer;
  button.setAttribute('aria-live', 'polite');
  button.hidden = !navigator.clipboard;
  source.addEventListener('focus', () => source.select?.());
  button.addEventListener('click', async () => {
    try {
      await navigator.clipboard.writeText(source.value ?? source.textContent);
    } catch {
      // Refused by the browser: what is marked can still be copied by hand.
      getSelection().selectAllChildren(source);
      source.select?.();
      return;
    }
    // The button keeps its width, so that nothing beside it moves.
    button.style.minWidth = `${button.offsetWidth}px`;
    words.textContent = button.dataset.done;
    clearTimeout(timer);
    timer = setTimeout(() => { words.textContent = before; }, 2000);
  });
}
