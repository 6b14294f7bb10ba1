// Markdown to DOM nodes. Text only ever becomes text nodes: nothing that a model writes is read as HTML.

/** The nodes that `text` means, in a fragment. */
export function markdown(text) {
  const out = document.createDocumentFragment();
  blocks(text.replace(/\r\n?/g, "\n").split("\n"), out, 0);
  return out;
}

const FENCE = /^ {0,3}(`{3,}|~{3,})\s*([\w+#.-]*)[^`]*$/;
const HEADING = /^ {0,3}(#{1,6})\s+(.*?)\s*#*$/;
const RULE = /^ {0,3}([-*_])(\s*\1){2,}\s*$/;
const ITEM = /^(\s*)([-*+]|\d{1,9}[.)])\s+(.*)$/;
const QUOTE = /^ {0,3}>\s?(.*)$/;
const DIVIDER = /^\s*\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*$/;
const DEEPEST = 8;

function blocks(lines, out, depth) {
  let at = 0;
  while (at < lines.length) {
    const line = lines[at];
    let found;
    if (!line.trim()) {
      at += 1;
    } else if ((found = FENCE.exec(line))) {
      at = fence(lines, at, found, out);
    } else if ((found = HEADING.exec(line))) {
      // The page has its own headings above these.
      out.append(filled(`h${Math.min(6, found[1].length + 2)}`, found[2]));
      at += 1;
    } else if (RULE.test(line)) {
      out.append(document.createElement("hr"));
      at += 1;
    } else if (QUOTE.test(line) && depth < DEEPEST) {
      const inner = [];
      while (at < lines.length && (found = QUOTE.exec(lines[at]))) { inner.push(found[1]); at += 1; }
      const quote = document.createElement("blockquote");
      blocks(inner, quote, depth + 1);
      out.append(quote);
    } else if (ITEM.test(line) && depth < DEEPEST) {
      at = list(lines, at, out, depth);
    } else if (line.includes("|") && DIVIDER.test(lines[at + 1] ?? "") && (lines[at + 1] ?? "").includes("|")) {
      at = table(lines, at, out);
    } else {
      const words = [];
      do { words.push(lines[at]); at += 1; }
      while (at < lines.length && lines[at].trim() && ![FENCE, HEADING, RULE, QUOTE, ITEM].some((kind) => kind.test(lines[at])));
      out.append(filled("p", words.join("\n")));
    }
  }
}

function fence(lines, at, opened, out) {
  const code = document.createElement("code");
  const inside = [];
  const mark = opened[1];
  for (at += 1; at < lines.length; at += 1) {
    const line = lines[at].trim();
    if (line.startsWith(mark) && line.replaceAll(mark[0], "") === "") { at += 1; break; }
    inside.push(lines[at]);
  }
  code.textContent = inside.join("\n");
  const pre = document.createElement("pre");
  pre.tabIndex = 0;  // scrolled with the keyboard
  if (opened[2]) pre.setAttribute("aria-label", `Code: ${opened[2]}`);
  pre.append(code);
  out.append(pre);
  return at;
}

function list(lines, at, out, depth) {
  const first = ITEM.exec(lines[at]);
  const indent = first[1].length;
  const ordered = /\d/.test(first[2]);
  const box = document.createElement(ordered ? "ol" : "ul");
  if (ordered) box.start = parseInt(first[2], 10);
  while (at < lines.length) {
    const found = ITEM.exec(lines[at]);
    if (!found || found[1].length !== indent || /\d/.test(found[2]) !== ordered) break;
    const inner = [found[3]];
    for (at += 1; at < lines.length; at += 1) {
      const line = lines[at];
      const next = ITEM.exec(line);
      if (next && next[1].length <= indent) break;
      if (!line.trim()) {
        const after = lines[at + 1] ?? "";
        if (!/^\s+\S/.test(after) || after.search(/\S/) <= indent) break;
        inner.push("");
      } else if (line.search(/\S/) > indent || (!next && inner.at(-1).trim())) {
        inner.push(line.slice(Math.min(line.search(/\S/), indent + found[2].length + 1)));
      } else break;
    }
    const item = document.createElement("li");
    if (inner.length === 1) spans(inner[0], item);
    else blocks(inner, item, depth + 1);
    box.append(item);
    while (at < lines.length && !lines[at].trim() && ITEM.test(lines[at + 1] ?? "")) at += 1;
  }
  out.append(box);
  return at;
}

function table(lines, at, out) {
  const cells = (line) => line.trim().replace(/^\||\|$/g, "").split("|").map((cell) => cell.trim());
  const made = document.createElement("table");
  const row = (line, kind) => {
    const tr = document.createElement("tr");
    for (const cell of cells(line)) tr.append(filled(kind, cell));
    return tr;
  };
  made.createTHead().append(row(lines[at], "th"));
  const body = made.createTBody();
  for (at += 2; at < lines.length && lines[at].includes("|"); at += 1) body.append(row(lines[at], "td"));
  const scroll = document.createElement("div");
  scroll.className = "scroll";
  scroll.append(made);
  out.append(scroll);
  return at;
}

function filled(tag, text) {
  const node = document.createElement(tag);
  spans(text, node);
  return node;
}

const SPAN = /(`+)([^`](?:.*?[^`])?)\1(?!`)|\*\*(?=\S)(.+?)\*\*|__(?=\S)(.+?)__|\*(?=\S)([^*]+?)\*|(?<![\w])_(?=\S)([^_]+?)_(?![\w])|~~(.+?)~~|\[([^\]]+)\]\(([^)\s]+)[^)]*\)|(https?:\/\/[^\s<>"')\]]+)/s;

function spans(text, out, depth = 0) {
  let rest = text;
  while (rest) {
    const found = depth < DEEPEST ? SPAN.exec(rest) : null;
    if (!found) { out.append(rest); return; }
    out.append(rest.slice(0, found.index));
    rest = rest.slice(found.index + found[0].length);
    const [, , code, bold, bolder, slanted, slant, struck, label, target, bare] = found;
    if (code !== undefined) {
      const node = document.createElement("code");
      node.textContent = code.trim();
      out.append(node);
    } else if (label !== undefined || bare !== undefined) {
      out.append(link(label ?? bare, target ?? bare));
    } else {
      const tag = (bold ?? bolder) !== undefined ? "strong" : struck !== undefined ? "s" : "em";
      const node = document.createElement(tag);
      spans(bold ?? bolder ?? struck ?? slanted ?? slant, node, depth + 1);
      out.append(node);
    }
  }
}

/** A link where it leads to the web, else its text: no scripts, no data, no files. */
function link(label, target) {
  let address = null;
  try { address = new URL(target); } catch { /* not an address: shown as text */ }
  if (!address || !["http:", "https:"].includes(address.protocol)) return document.createTextNode(label);
  const node = document.createElement("a");
  node.href = address.href;
  node.rel = "noopener noreferrer";
  node.target = "_blank";
  node.textContent = label;
  return node;
}
