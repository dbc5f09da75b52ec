// The search box over a home's devices: name, entity id and area, each typed word anywhere.
const input = document.querySelector('[data-filter]');

if (input) {
  const nothing = document.querySelector('[data-nothing]');
  const count = document.querySelector('[data-count]');
  const areas = [...document.querySelectorAll('.area')].map((area) => ({
    area,
    devices: [...area.querySelectorAll('.device')].map((device) => ({
      device,
      text: `${device.querySelector('div').textContent} ${area.querySelector('h3').textContent}`.toLowerCase(),
    })),
  }));

  const narrow = () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let found = 0;
    for (const { area, devices } of areas) {
      let here = 0;
      for (const { device, text } of devices) {
        device.hidden = !words.every((word) => text.includes(word));
        if (!device.hidden) here += 1;
      }
      area.hidden = here === 0;
      found += here;
    }
    count.textContent = String(found);
    nothing.hidden = found > 0;
  };

  input.closest('.search').hidden = areas.length === 0;
  input.addEventListener('input', narrow);
  // The browser fills the box again when one comes back to the page.
  if (input.value) narrow();
}
