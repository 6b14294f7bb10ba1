import { markdown, nodes } from "./markdown.js";
import { parser } from "./parser.js";

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
    const open = nodes(tokens.slice(Math.max(last, 0)), { open: true });
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
