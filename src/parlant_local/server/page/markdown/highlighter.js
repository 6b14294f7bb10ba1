// In a worker: what parts of a program's text are, as a list of [length, kind]. A grammar that never ends is ended from outside.

import hljs from "../vendor/highlight.js";

onmessage = ({ data: { id, language, text } }) => {
  const parts = [];
  if (hljs.getLanguage(language)) collect(hljs.highlight(text, { language, ignoreIllegals: true })._emitter.rootNode, "", parts);
  postMessage({ id, parts });
};

function collect(node, kind, parts) {
  for (const child of node.children) {
    if (typeof child === "string") parts.push([child.length, kind]);
    else collect(child, child.scope ?? kind, parts);
  }
}
