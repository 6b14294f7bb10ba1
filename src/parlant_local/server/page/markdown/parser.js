// The reader: markdown-it with maths, in time that grows with the text's length only.

import MarkdownIt from "../vendor/markdown-it.js";
import { maths, mathsBlock } from "./maths-rules.js";

// Definitions of links would change what was drawn before they came.
export const parser = new MarkdownIt({ html: false, linkify: false, maxNesting: 40 }).disable("reference");
parser.inline.ruler.before("escape", "maths", maths);
parser.block.ruler.before("fence", "maths_block", mathsBlock, { alt: ["paragraph", "blockquote", "list"] });
