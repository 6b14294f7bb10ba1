// What is told of a model wherever it is listed.

import { make } from "../core/dom.js";
import { percent, t } from "../core/words.js";

export const badge = (text, kind = "") => make("span", { class: `badge ${kind}` }, text);

/** Figures in a row, none of them broken in two. */
export const facts = (texts) => make("ul", { class: "facts" }, ...texts.filter(Boolean).map((text) => make("li", {}, text)));

/** What the examination said of it. The server's sentence is English. */
export function verdict(evaluation) {
  if (!evaluation) return null;
  const share = t("Examined: {share} right", { share: percent(evaluation.score) });
  return make("p", { class: "verdict", title: t("{count} cases, {date}", { count: evaluation.cases, date: evaluation.made.slice(0, 10) }) }, badge(share), " ", make("span", { lang: "en" }, evaluation.verdict));
}
