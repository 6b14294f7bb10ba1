// Finding models: by words in well-known names and on the hub, or by an exact reference.

import { askJson } from "../core/api.js";
import { $, make, refill } from "../core/dom.js";
import { bytes, number, parameters, t } from "../core/words.js";
import { startDownload } from "./downloads.js";

let asking = null;

export function start() {
  $("add").addEventListener("submit", (event) => {
    event.preventDefault();
    const text = $("reference").value.trim();
    if (text) search(text);
  });
  $("reference").addEventListener("input", () => { if (!$("reference").value.trim()) clear(); });
  $("exact").addEventListener("click", () => {
    const text = $("reference").value.trim();
    if (text) startDownload(text);
  });
}

function clear() {
  asking?.abort();
  $("found").replaceChildren();
  $("found-note").textContent = "";
}

async function search(words) {
  asking?.abort();
  const mine = asking = new AbortController();
  $("found-note").textContent = t("Searching …");
  try {
    const found = await askJson(`api/search?query=${encodeURIComponent(words)}`, { signal: mine.signal });
    if (asking !== mine) return;
    const others = found.models.filter((model) => model.where !== "here");
    refill($("found"), others.map(card));
    $("found-note").textContent = [
      others.length ? t("{count} models found.", { count: others.length }) : t("Nothing found. Names look like llama3.2:3b or user/repo:Q4_K_M."),
      found.hub_problem ? t("The hub was not searched: {reason}", { reason: found.hub_problem }) : "",
    ].filter(Boolean).join(" ");
  } catch (error) {
    if (error.name !== "AbortError") $("found-note").textContent = error.message;
  }
}

function card(model) {
  const choices = model.quantizations.length ? model.quantizations : model.size ? [[model.quantization ?? "", model.size]] : [];
  const select = model.quantizations.length > 1
    ? make("select", { "aria-label": t("Quantization of {name}", { name: model.reference }) }, ...choices.map(([label, size]) => make("option", { value: label, selected: label === model.quantization }, `${label} · ${bytes(size)}`))) : null;
  const facts = [
    model.parameters ? parameters(model.parameters) : "",
    select ? "" : [model.quantization, model.size ? bytes(model.size) : ""].filter(Boolean).join(" "),
    model.context_length ? t("{count} tokens of context", { count: number(model.context_length) }) : "",
    model.license ? t("licence {name}", { name: model.license }) : "",
    model.downloads ? t("{count} downloads", { count: number(model.downloads) }) : "",
  ];
  const fits = model.fits == null ? null : make("span", { class: model.fits ? "badge good" : "badge bad" }, model.fits ? t("fits") : t("too large for this memory"));
  const reference = () => (select ? `${model.reference}:${select.value}` : model.reference);
  return make(
    "article", { class: "card", "data-reference": model.reference },
    make("div", { class: "row" }, make("strong", {}, model.reference), fits, model.base ? make("span", { class: "badge bad" }, t("base model")) : null, model.gated ? make("span", { class: "badge" }, t("needs the hub's permission")) : null),
    make("p", { class: model.problem ? "failed" : "quiet" }, model.problem || facts.filter(Boolean).join(" · ")),
    make("div", { class: "row" }, select, make("button", { type: "button", class: "small", "aria-label": t("Download {name}", { name: model.reference }), onclick: () => startDownload(reference()) }, t("Download"))),
  );
}
