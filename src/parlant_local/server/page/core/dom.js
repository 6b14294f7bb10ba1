// Elements; text is never parsed as HTML.

export const $ = (id) => document.getElementById(id);

/** An element with attributes and children; null children are left out. */
export function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value != null) node.setAttribute(name, value);
  }
  node.append(...children.flat().filter((child) => child != null && child !== false));
  return node;
}

const SVG = "http://www.w3.org/2000/svg";
const PATHS = {
  menu: "M4 7h16M4 12h16M4 17h16", plus: "M12 5v14M5 12h14", more: "M6 12h.01M12 12h.01M18 12h.01", pin: "M9 4h6l-1 6 3 3H7l3-3zM12 13v7",
  copy: "M9 9h11v11H9zM5 15V4h11", edit: "M4 20l1-5L16 4l4 4L9 19z", again: "M20 11a8 8 0 1 0-2 6M20 5v6h-6", forward: "M5 5l7 7-7 7M13 5l7 7-7 7",
  bin: "M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13", left: "M15 6l-6 6 6 6", right: "M9 6l6 6-6 6", send: "M12 20V5M6 11l6-6 6 6", stop: "M7 7h10v10H7z",
  tune: "M4 7h9M17 7h3M13 5v4M4 17h3M11 17h9M7 15v4", light: "M12 3v2M12 19v2M3 12h2M19 12h2M6 6l1 1M17 17l1 1M18 6l-1 1M7 17l-1 1M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8z",
  chat: "M4 5h16v11H9l-5 4z", box: "M4 8l8-4 8 4v8l-8 4-8-4zM4 8l8 4 8-4M12 12v8", pulse: "M3 12h4l3-7 4 14 3-7h4", agent: "M8 9h8v8H8zM12 9V5M4 12v3M20 12v3M10 13h.01M14 13h.01",
  down: "M12 5v14M6 13l6 6 6-6", keys: "M3 7h18v10H3zM7 10h.01M12 10h.01M17 10h.01M8 14h8",
  clip: "M20 11l-8 8a5 5 0 0 1-7-7l9-9a3.3 3.3 0 0 1 5 5l-9 9a1.7 1.7 0 0 1-2.500-2.500l8-8",
  picture: "M4 5h16v14H4zM4 16l5-5 4 4 3-3 4 4M15 9h.01",
  close: "M6 6l12 12M18 6L6 18", out: "M12 15V4M8 8l4-4 4 4M5 15v5h14v-5", into: "M12 4v11M8 11l4 4 4-4M5 15v5h14v-5",
};

export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  const path = document.createElementNS(SVG, "path");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}

/** A button with an icon; `label` is its name for screen readers and its tip. */
export function iconButton(name, label, onclick, attributes = {}) {
  return make("button", { type: "button", class: "icon-button", title: label, "aria-label": label, onclick, ...attributes }, icon(name));
}

/** Replaces the children, unless nothing would change, so that focus and selection stay. */
export function refill(box, children) {
  const fresh = make("div", {}, ...children);
  if (box.innerHTML === fresh.innerHTML) return;
  const focused = box.contains(document.activeElement) ? document.activeElement.dataset.focus : null;
  box.replaceChildren(...fresh.childNodes);
  if (focused) box.querySelector(`[data-focus="${CSS.escape(focused)}"]`)?.focus();
}

/** Asks in a dialog; true where the person says yes. `danger`: the button is red, and No has the focus. */
export async function confirmed(text, { yes, danger = false }) {
  const dialog = $("confirm");
  $("confirm-text").textContent = text;
  $("confirm-yes").textContent = yes;
  $("confirm-yes").classList.toggle("danger", danger);
  await answered(dialog);
  return dialog.returnValue === "yes";
}

/** Asks for one line; null where the person cancels. */
export async function asked(title, value) {
  const dialog = $("prompt");
  $("prompt-title").textContent = title;
  $("prompt-text").value = value;
  const closed = answered(dialog);
  $("prompt-text").select();
  await closed;
  return dialog.returnValue === "yes" ? $("prompt-text").value.trim() : null;
}

function answered(dialog) {
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
}

let telling = null;

/** One sentence at the bottom, for a moment; read out, and focus stays where it is. */
export function tell(text) {
  clearTimeout(telling);
  $("toast").textContent = text;
  telling = setTimeout(() => { $("toast").textContent = ""; }, 5000);
}

export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    copyBySelection(text);  // no clipboard without TLS, or not allowed
  }
}

function copyBySelection(text) {
  const box = make("textarea", { class: "hidden" });
  const focused = document.activeElement;
  box.value = text;
  document.body.append(box);
  box.select();
  document.execCommand("copy");
  box.remove();
  focused?.focus();
}

export function download(name, text, kind) {
  const address = URL.createObjectURL(new Blob([text], { type: kind }));
  make("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}
