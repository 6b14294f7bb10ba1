// Small helpers; text is never parsed as HTML.

export const $ = (id) => document.getElementById(id);

/** An element with attributes and children. */
export function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value != null) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child != null));
  return node;
}

const UNITS = ["B", "kB", "MB", "GB", "TB"];

export function bytes(count) {
  if (count == null) return "–";
  let unit = 0;
  while (count >= 1000 && unit < UNITS.length - 1) { count /= 1000; unit += 1; }
  return `${count.toFixed(count < 10 && unit ? 1 : 0)} ${UNITS[unit]}`;
}

export const number = (value, digits = 0) => (value == null ? "–" : value.toLocaleString(undefined, { maximumFractionDigits: digits }));
export const percent = (share) => (share == null ? "–" : `${(100 * share).toFixed(0)} %`);

export function seconds(value) {
  if (value == null) return "–";
  return value < 1 ? `${(value * 1000).toFixed(0)} ms` : `${value.toFixed(1)} s`;
}

/** Replaces the children, unless nothing would change, so that focus and selection stay. */
export function refill(box, children) {
  const fresh = make("div", {}, ...children);
  if (box.innerHTML === fresh.innerHTML) return;
  const focused = box.contains(document.activeElement) ? document.activeElement.dataset.focus : null;
  box.replaceChildren(...fresh.childNodes);
  if (focused) box.querySelector(`[data-focus="${CSS.escape(focused)}"]`)?.focus();
}
