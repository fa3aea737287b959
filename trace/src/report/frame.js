// What every page has: short names for the browser's functions, numbers in words, light and dark, and tables that scroll.

const $ = id => document.getElementById(id);

/// An element with attributes and children; text is text, never markup.
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  Object.entries(attributes).forEach(([name, value]) => element.setAttribute(name, value));
  element.append(...children);
  return element;
}

const count = value => value.toLocaleString('en');
const plural = (number, word) => `${count(number)} ${word}${number === 1 ? '' : 's'}`;

/// The first index in an ascending array whose value is at least `value`.
function lower(array, value, low = 0, high = array.length) {
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (array[middle] < value) low = middle + 1; else high = middle;
  }
  return low;
}

/// A table that is wider than its place says that it scrolls.
function hintWide() {
  const look = place => place.classList.toggle('more', place.scrollWidth > place.clientWidth + 1);
  // The hint changes the layout, so it has to wait until all observers have been called.
  const watcher = new ResizeObserver(seen => requestAnimationFrame(() => seen.forEach(({ target }) => look(target.closest('.wide')))));
  document.querySelectorAll('.wide, .wide table').forEach(element => watcher.observe(element));
}

/// Light or dark: the system's choice until the button changes it.
function themes(changed) {
  const root = document.documentElement, button = $('theme'), system = matchMedia('(prefers-color-scheme: dark)');
  const isDark = () => root.dataset.theme ? root.dataset.theme === 'dark' : system.matches;
  const label = () => { button.textContent = isDark() ? 'Light' : 'Dark'; changed(); };
  button.setAttribute('aria-label', 'Change between light and dark');
  button.addEventListener('click', () => { root.dataset.theme = isDark() ? 'light' : 'dark'; label(); });
  system.addEventListener('change', label);
  // Printed pages are always light.
  matchMedia('print').addEventListener('change', changed);
  label();
}
