// Markdown to DOM nodes. markdown-it reads it, in time that grows with its length only; what it found becomes elements that are
// named here and text nodes. Nothing that a model writes is ever read as HTML.

import MarkdownIt from "./markdown-it.js";

// Definitions of links would change what was drawn before they came.
const parser = new MarkdownIt({ html: false, linkify: false, maxNesting: 40 }).disable("reference");
const DEEPEST = 48;  // elements in elements: a browser's own limits are met by ten thousand stars
const PLAIN = new Set(["p", "blockquote", "ul", "ol", "li", "thead", "tbody", "tr", "th", "td", "strong", "em", "s"]);
const ADDRESS = /https?:\/\/[^\s<>"')\]]+/g;

/** The nodes that `text` means, in a fragment. */
export function markdown(text) {
  const out = nodes(parser.parse(text, {}));
  // Below its deepest nesting the parser drops what stands there; an answer that is nothing but that is shown as it came.
  if (text.trim() && !out.textContent.trim() && !out.querySelector("hr, pre, table")) out.replaceChildren(plain(text));
  return out;
}

/**
 * Text that is still being written, in `box`. Only the last block can change with what comes, so those before it are drawn once:
 * the work grows with the text, not with its square.
 */
export class Growing {
  #settled = 0;  // characters whose blocks stand
  #open = [];    // nodes of the last block

  constructor(box) { this.box = box; }

  update(text) {
    const rest = text.slice(this.#settled);
    const tokens = parser.parse(rest, {});
    const last = tokens.findLastIndex((token) => token.level === 0 && token.nesting >= 0);
    for (const node of this.#open) node.remove();
    if (last > 0) {
      this.box.append(nodes(tokens.slice(0, last)));
      this.#settled += lineStart(rest, tokens[last].map[0]);
    }
    const open = nodes(tokens.slice(Math.max(last, 0)));
    this.#open = [...open.childNodes];
    this.box.append(open);
  }

  /** The whole text, which comes no more: what looked like a block of its own may have been part of the one before. */
  finish(text) {
    this.box.replaceChildren(markdown(text));
    this.#open = [];
    this.#settled = text.length;
  }
}

/** Where line `number` begins, by any of the line ends that the parser knows. */
function lineStart(text, number) {
  const ends = /\r\n|\n|\r/g;
  for (let line = 0; line < number && ends.exec(text); line += 1);
  return number ? ends.lastIndex : 0;
}

function nodes(tokens) {
  const out = document.createDocumentFragment();
  const path = [out];
  let links = 0;
  for (const token of tokens) {
    const here = path.at(-1);
    if (token.type === "link_open") links += 1;
    if (token.type === "link_close") links -= 1;
    if (token.nesting > 0) path.push(path.length < DEEPEST ? opened(token, here) : here);
    else if (token.nesting < 0) path.pop();
    else if (token.type === "inline") here.append(nodes(token.children));
    else here.append(...leaf(token, links > 0));
  }
  return out;
}

function plain(text) {
  const node = document.createElement("p");
  node.textContent = text;
  return node;
}

/** What goes on inside a token; where it has no element of its own, that is what stood around it. */
function opened(token, here) {
  let node = null;
  if (token.hidden) return here;  // the paragraph of a tight list
  if (token.type === "link_open") node = anchor(token.attrGet("href"));
  else if (/^h[1-6]$/.test(token.tag)) node = document.createElement(`h${Math.min(6, Number(token.tag[1]) + 2)}`);  // below the page's own
  else if (token.tag === "table") {
    node = document.createElement("table");
    const scroll = document.createElement("div");
    scroll.className = "scroll";
    scroll.append(node);
    here.append(scroll);
    return node;
  } else if (PLAIN.has(token.tag)) node = document.createElement(token.tag);
  if (!node) return here;
  if (token.tag === "ol") node.start = Number(token.attrGet("start") ?? 1);
  here.append(node);
  return node;
}

function leaf(token, inLink) {
  switch (token.type) {
    case "text": return inLink ? [token.content] : withAddresses(token.content);
    case "softbreak": return ["\n"];
    case "hardbreak": return [document.createElement("br")];
    case "hr": return [document.createElement("hr")];
    case "code_inline": return [code(token.content)];
    case "fence":
    case "code_block": return [block(token)];
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

function block(token) {
  const pre = document.createElement("pre");
  pre.tabIndex = 0;  // scrolled with the keyboard
  const language = token.info.trim().split(/\s/, 1)[0];
  if (language) pre.setAttribute("aria-label", `Code: ${language}`);
  pre.append(code(token.content.replace(/\n$/, "")));
  return pre;
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
