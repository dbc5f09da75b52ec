// What is wrong with the looks of a page: things that stick out sideways, words that are hard to read, controls
// without a name. Gives a list of sentences. `arguments[0]` is the width that the page was given.
const wrong = [];
const width = arguments[0];
const short = (element) => element.outerHTML.replace(/\s+/g, ' ').slice(0, 140);
const seen = (element) => element.checkVisibility({ opacityProperty: true, visibilityProperty: true });

// A page that is too wide. Its own idea of its width grows with what sticks out, so it is not asked for it.
const wide = document.scrollingElement.scrollWidth;
if (wide > width) {
  wrong.push(`the page is ${wide} px wide`);
  for (const element of document.body.querySelectorAll('*')) {
    const box = element.getBoundingClientRect();
    if (box.right > width + 0.5 && seen(element)) wrong.push(`to ${Math.round(box.right)} px reaches ${short(element)}`);
  }
}

// Words that are cut off or run out of their box.
for (const element of document.body.querySelectorAll('*')) {
  if (!seen(element) || element.matches('input, textarea, svg, svg *, .visually-hidden, .skip')) continue;
  const style = getComputedStyle(element);
  const cuts = style.overflowX !== 'visible' && style.overflowX !== 'auto' && style.overflowX !== 'scroll';
  if (element.scrollWidth > element.clientWidth + 1 && element.clientWidth > 1 && (cuts || element.matches('button, a.button'))) {
    wrong.push(`cut off: ${short(element)}`);
  }
}

// Controls: each has a name of its own.
for (const field of document.querySelectorAll('input:not([type=hidden]), select, textarea')) {
  const named = [...field.labels].some((label) => label.textContent.trim()) || field.ariaLabel || field.ariaLabelledByElements?.length;
  if (!named) wrong.push(`no label: ${short(field)}`);
}
for (const pressed of document.querySelectorAll('button, a[href]')) {
  const named = pressed.textContent.trim() || pressed.ariaLabel || pressed.getAttribute('aria-labelledby') || pressed.querySelector('img[alt]:not([alt=""])');
  if (!named) wrong.push(`no name: ${short(pressed)}`);
}
const ids = [...document.querySelectorAll('[id]')].map((element) => element.id);
for (const id of new Set(ids.filter((id, at) => ids.indexOf(id) !== at))) wrong.push(`two elements are called ${id}`);
for (const attribute of ['aria-describedby', 'aria-labelledby', 'for', 'popovertarget']) {
  for (const element of document.querySelectorAll(`[${attribute}]`)) {
    for (const id of element.getAttribute(attribute).split(/\s+/)) {
      if (!document.getElementById(id)) wrong.push(`${attribute} names nothing: ${short(element)}`);
    }
  }
}

// Contrast (WCAG 2.2, 1.4.3): 4.5 to 1, and 3 to 1 for large words.
const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
const paint = (over, colour) => {
  canvas.globalCompositeOperation = 'copy';
  canvas.fillStyle = `rgb(${over.join(' ')})`;
  canvas.fillRect(0, 0, 1, 1);
  canvas.globalCompositeOperation = 'source-over';
  canvas.fillStyle = colour;
  canvas.fillRect(0, 0, 1, 1);
  return [...canvas.getImageData(0, 0, 1, 1).data.slice(0, 3)];
};
const paper = document.createElement('i');
paper.style.color = 'Canvas';
document.documentElement.append(paper);
const blank = paint([255, 255, 255], getComputedStyle(paper).color);
paper.remove();
const ground = (element) => {
  const layers = [];
  for (let at = element; at; at = at.parentElement) layers.unshift(getComputedStyle(at).backgroundColor);
  return layers.reduce(paint, blank);
};
const light = (colour) => {
  const [r, g, b] = colour.map((part) => part / 255).map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const words = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
const told = new Set();
while (words.nextNode()) {
  const element = words.currentNode.parentElement;
  if (!words.currentNode.data.trim() || told.has(element) || !seen(element)) continue;
  // Words that lie over a sibling (the switch's knob) have no ground of their own, and what cannot be used may be faint.
  if (element.closest('.flip, .skip, .visually-hidden, :disabled, title')) continue;
  told.add(element);
  const style = getComputedStyle(element);
  const under = ground(element);
  const [one, other] = [light(paint(under, style.color)), light(under)].sort((a, b) => b - a);
  const ratio = (one + 0.05) / (other + 0.05);
  const size = parseFloat(style.fontSize);
  const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
  if (ratio < (large ? 3 : 4.5)) wrong.push(`contrast ${ratio.toFixed(2)}: ${short(element)}`);
}
return wrong;
