// A block of code: its language, a button that copies it, colours.

import { copy, iconButton, make, tell } from "../core/dom.js";
import { t } from "../core/words.js";
import { highlight } from "./highlight.js";

/** `open`: the block is still being written, and is coloured when it is whole. */
export function codeBlock(text, language, open) {
  const code = make("code", {}, text);
  const pre = make("pre", { tabindex: "0", role: "region", "aria-label": language ? t("Code: {language}", { language }) : t("Code") }, code);
  const copies = iconButton("copy", t("Copy code"), () => copy(text).then(() => tell(t("Copied."))));
  if (!open) highlight(code, language);
  return make("div", { class: "code" }, make("div", { class: "code-head" }, make("span", {}, language), copies), pre);
}
