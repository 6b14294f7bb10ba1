// Markdown to DOM nodes: what the parser found becomes elements that are named here and text nodes. Nothing that a model writes
// is ever read as HTML.

import { t } from "../core/words.js";
import { codeBlock } from "./code.js";
import { formula } from "./maths.js";
import { parser } from "./parser.js";

const DEEPEST = 48;  // elements in elements: a browser's own limits are met by ten thousand stars
const PLAIN = new Set(["p", "blockquote", "ul", "ol", "li", "thead", "tbody", "tr", "th", "td", "strong", "em", "s"]);
const ADDRESS = /https?:\/\/[^\s<>"')\]]+/g;
const TASK = /^\[([ xX])\] /;

/** The nodes that `text` means, in a fragment. */
export function markdown(text) {
  const out = nodes(parser.parse(text, {}));
  // Below its deepest nesting the parser drops what stands there; an answer that is nothing but that is shown as it came.
  if (text.trim() && !out.textContent.trim() && !out.querySelector("hr, pre, table, .maths")) out.replaceChildren(plain(text));
  return out;
}

export function nodes(tokens, { open = false } = {}) {
  const out = document.createDocumentFragment();
  const path = [out];
  let links = 0;
  for (const token of tokens) {
    const here = path.at(-1);
    if (token.type === "link_open") links += 1;
    if (token.type === "link_close") links -= 1;
    if (token.nesting > 0) path.push(path.length < DEEPEST ? opened(token, here) : here);
    else if (token.nesting < 0) path.pop();
    else if (token.type === "inline") here.append(...task(token, path), nodes(token.children));
    else here.append(...leaf(token, links > 0, open));
  }
  return out;
}

function plain(text) {
  const node = document.createElement("p");
  node.textContent = text;
  return node;
}

/** The box of a task: the first words of a list's item say whether it is done. */
function task(token, path) {
  const first = token.children?.[0];
  const item = path.at(-1).tagName === "P" ? path.at(-2) : path.at(-1);
  const mark = first?.type === "text" && item?.tagName === "LI" && !item.textContent && TASK.exec(first.content);
  if (!mark) return [];
  first.content = first.content.slice(mark[0].length);
  item.classList.add("task");
  const done = mark[1] !== " ";
  const box = document.createElement("input");
  Object.assign(box, { type: "checkbox", checked: done, tabIndex: -1 });  // a disabled one is too pale to be read
  box.setAttribute("aria-readonly", "true");
  box.setAttribute("aria-label", done ? t("done") : t("not done"));
  return [box, " "];
}

/** What goes on inside a token; where it has no element of its own, that is what stood around it. */
function opened(token, here) {
  let node = null;
  if (token.hidden) return here;  // the paragraph of a tight list
  if (token.type === "link_open") node = anchor(token.attrGet("href"));
  else if (/^h[1-6]$/.test(token.tag)) node = document.createElement(`h${Math.min(6, Number(token.tag[1]) + 1)}`);  // below the page's own
  else if (token.tag === "table") {
    node = document.createElement("table");
    const scroll = document.createElement("div");
    scroll.className = "scroll";
    scroll.tabIndex = 0;
    scroll.setAttribute("role", "region");
    scroll.setAttribute("aria-label", t("Table"));
    scroll.append(node);
    here.append(scroll);
    return node;
  } else if (PLAIN.has(token.tag)) node = document.createElement(token.tag);
  if (!node) return here;
  if (token.tag === "ol") node.start = Number(token.attrGet("start") ?? 1);
  const side = /^text-align:(left|right|center)$/.exec(token.attrGet("style") ?? "");
  if (side) node.className = side[1];
  here.append(node);
  return node;
}

function leaf(token, inLink, open) {
  switch (token.type) {
    case "text": return inLink ? [token.content] : withAddresses(token.content);
    case "softbreak": return ["\n"];
    case "hardbreak": return [document.createElement("br")];
    case "hr": return [document.createElement("hr")];
    case "code_inline": return [code(token.content)];
    case "fence":
    case "code_block": return [codeBlock(token.content.replace(/\n$/, ""), token.info.trim().split(/\s/, 1)[0], open)];
    case "maths":
    case "maths_block": return [formula(token.content, token.meta.display)];
    case "image": {
      const node = anchor(token.attrGet("src"));  // no picture: the page asks nobody but its server
      if (!node || inLink) return [token.content];
      node.textContent = token.content || node.href;
      return [node];
    }
    default: return [token.content];
  }
}

function code(text) {
  const node = document.createElement("code");
  node.textContent = text;
  return node;
}

function withAddresses(text) {
  const found = [];
  let at = 0;
  for (const match of text.matchAll(ADDRESS)) {
    const node = anchor(match[0]);
    if (!node) continue;
    node.textContent = match[0];
    found.push(text.slice(at, match.index), node);
    at = match.index + match[0].length;
  }
  found.push(text.slice(at));
  return found.filter((part) => part !== "");
}

/** A link where it leads to the web, else nothing: no scripts, no data, no files. */
function anchor(target) {
  let address = null;
  try { address = new URL(target); } catch { return null; /* not an address: shown as text */ }
  if (!["http:", "https:"].includes(address.protocol)) return null;
  const node = document.createElement("a");
  node.href = address.href;
  node.rel = "noopener noreferrer";
  node.target = "_blank";
  return node;
}
