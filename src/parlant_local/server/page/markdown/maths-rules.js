// $…$, $$…$$, \(…\) and \[…\] as markdown-it's tokens, under pandoc's rules: "$5 and $6" is no formula.

const LONGEST = 4000;  // characters of a formula
const MARKS = [["$$", "$$", true], ["\\[", "\\]", true], ["\\(", "\\)", false], ["$", "$", false]];
const DOLLAR = 0x24, BACKSLASH = 0x5c;

export function maths(state, silent) {
  const { src, pos } = state;
  const first = src.charCodeAt(pos);
  if (first !== DOLLAR && first !== BACKSLASH) return false;
  const mark = MARKS.find(([open]) => src.startsWith(open, pos));
  if (!mark) return false;
  const [open, close, display] = mark;
  const end = closing(state, pos + open.length, close);
  if (end < 0) return false;
  if (!silent) push(state, src.slice(pos + open.length, end), display);
  state.pos = end + close.length;
  return true;
}

/** Where the formula ends, or -1. */
function closing(state, from, close) {
  const { src } = state;
  if (close === "$" && /\s/.test(src[from] ?? " ")) return -1;
  let at = following(state, from, close);
  while (close[0] === "$" && at > from && src[at - 1] === "\\") at = src.indexOf(close, at + 1);
  if (at < 0 || at >= Math.min(state.posMax, from + LONGEST)) return -1;
  if (close === "$" && (/\s/.test(src[at - 1]) || /\d/.test(src[at + 1] ?? ""))) return -1;
  return src.slice(from, at).trim() ? at : -1;
}

/** The next place of a mark, or -1; a text is not searched twice for the same one. */
function following(state, from, mark) {
  const { src, env } = state;
  if (env.mathsIn !== src) Object.assign(env, { mathsIn: src, marks: {} });
  const known = env.marks[mark];
  if (known && known.from <= from && (known.at < 0 || known.at >= from)) return known.at;
  const at = src.indexOf(mark, from);
  env.marks[mark] = { from, at };
  return at;
}

function push(state, content, display) {
  const token = state.push("maths", "math", 0);
  token.content = content;
  token.meta = { display };
}

/** A formula of several lines that has them to itself. */
export function mathsBlock(state, line, endLine, silent) {
  const start = state.bMarks[line] + state.tShift[line];
  const open = ["$$", "\\["].find((mark) => state.src.startsWith(mark, start));
  if (!open || state.sCount[line] - state.blkIndent >= 4) return false;
  const close = open === "$$" ? "$$" : "\\]";
  const first = state.src.slice(start + 2, state.eMarks[line]);
  if (first.includes(close)) return false;  // on one line: the inline rule's
  const end = following(state, start + 2, close);
  if (end < 0 || end > start + LONGEST || state.src.slice(end + 2, end + 2 + LONGEST).split("\n", 1)[0].trim()) return false;
  if (silent) return true;
  const lines = [first];
  let length = first.length;
  for (let next = line + 1; next < endLine && length < LONGEST; next += 1) {
    const text = state.getLines(next, next + 1, state.blkIndent, false);
    length += text.length;
    const at = text.indexOf(close);
    if (at < 0) { lines.push(text); continue; }
    if (text.slice(at + 2).trim()) return false;
    lines.push(text.slice(0, at));
    const token = state.push("maths_block", "math", 0);
    token.content = lines.join("\n");
    token.block = true;
    token.map = [line, next + 1];
    token.meta = { display: true };
    state.line = next + 1;
    return true;
  }
  return false;
}
