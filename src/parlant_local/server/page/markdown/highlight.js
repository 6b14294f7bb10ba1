// Colours for code, found by a worker: however hostile the text, the page goes on, and the code is plain.

const LONGEST = 60_000;
const PATIENCE_MS = 2000;
const asked = new Map();
let worker = null;
let nextId = 0;
let watching = null;

/** Colours `code`'s text when they are known, unless it has changed by then. */
export function highlight(code, language) {
  const text = code.textContent;
  if (!language || text.length > LONGEST || typeof Worker === "undefined") return;
  worker ??= begin();
  const id = (nextId += 1);
  asked.set(id, { code, text });
  watching ??= setTimeout(end, PATIENCE_MS);
  worker.postMessage({ id, language: language.toLowerCase(), text });
}

function begin() {
  const made = new Worker("page/markdown/highlighter.js", { type: "module" });
  made.onmessage = ({ data: { id, parts } }) => {
    const { code, text } = asked.get(id) ?? {};
    asked.delete(id);
    clearTimeout(watching);
    watching = asked.size ? setTimeout(end, PATIENCE_MS) : null;
    if (code?.textContent === text && parts.length) code.replaceChildren(...coloured(text, parts));
  };
  made.onerror = end;
  return made;
}

/** Too long for one text: it and those behind it stay plain. */
function end() {
  worker?.terminate();
  worker = watching = null;
  asked.clear();
}

function* coloured(text, parts) {
  let at = 0;
  for (const [length, kind] of parts) {
    const piece = text.slice(at, at + length);
    at += length;
    if (!kind) { yield piece; continue; }
    const node = document.createElement("span");
    node.className = `hl-${kind.split(".", 1)[0].replace(/[^a-z-]/g, "")}`;
    node.textContent = piece;
    yield node;
  }
  if (at < text.length) yield text.slice(at);
}
