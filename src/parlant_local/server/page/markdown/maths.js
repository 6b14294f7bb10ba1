// Formulas as MathML, by Temml, which is fetched with the first one. What it can't read is shown as it was written.

const LONGEST = 2000;
const AT_MOST = 300;  // formulas of one text
let temml = null;
let fetching = null;

/** An element for a formula, which is drawn now or when Temml is there. */
export function formula(source, display) {
  const node = document.createElement(display ? "div" : "span");
  node.className = display ? "maths display" : "maths";
  node.textContent = source.trim();
  if (source.length <= LONGEST) {
    if (temml) draw(node, source, display);
    else later(node, source, display);
  }
  return node;
}

const waiting = [];

function later(node, source, display) {
  if (waiting.length < AT_MOST) waiting.push([node, source, display]);
  fetching ??= import("../vendor/temml.js").then((found) => {
    temml = found.default;
    document.head.append(Object.assign(document.createElement("link"), { rel: "stylesheet", href: "page/vendor/temml.css" }));
    for (const args of waiting.splice(0)) draw(...args);
  });
}

let drawn = { time: 0, spent: 0 };
const SHARE_MS = 200;  // of each second: hostile formulas cost no more than this

function draw(node, source, display) {
  const began = performance.now();
  if (began - drawn.time > 1000) drawn = { time: began, spent: 0 };
  if (drawn.spent > SHARE_MS) return;
  const fragment = document.createElement("span");
  try {
    temml.render(source, fragment, { displayMode: display, throwOnError: true, trust: false, maxExpand: 200, maxSize: [30, 1000] });
    node.replaceChildren(...fragment.childNodes);
    node.querySelector("math")?.setAttribute("aria-label", source.trim());
  } catch (error) {
    node.title = error.message;  // its text stays
  }
  drawn.spent += performance.now() - began;
}
