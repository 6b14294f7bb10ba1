// A model that was found or is recommended, with what a choice needs.

import { make } from "../core/dom.js";
import { bytes, number, parameters, t } from "../core/words.js";
import { startDownload } from "./downloads.js";
import { badge, facts, verdict } from "./facts.js";

const PLACES = { here: "on this computer", "well-known": "well-known name", package: "package index", hub: "hub" };

/** `chat` starts a conversation with one that is here. */
export function card(model, chat) {
  const choices = model.quantizations ?? [];
  const select = choices.length > 1 && model.where !== "here"
    ? make("select", { "aria-label": t("Quantization of {name}", { name: model.reference }) }, ...choices.map(([label, size]) => make("option", { value: label, selected: label === model.quantization }, `${label} · ${bytes(size)}`))) : null;
  const told = [
    model.parameters ? parameters(model.parameters) : "",
    select ? "" : [model.quantization, model.size ? bytes(model.size) : ""].filter(Boolean).join(" "),
    model.context_length ? t("{count} tokens of context", { count: number(model.context_length) }) : "",
    model.license ? t("licence {name}", { name: model.license }) : "",
    model.downloads ? t("{count} downloads", { count: number(model.downloads) }) : "",
    t(PLACES[model.where]),
  ];
  const marks = [
    model.fits == null ? null : model.fits ? badge(t("fits"), "good") : badge(t("too large for this memory"), "bad"),
    model.base ? badge(t("base model"), "bad") : null,
    model.gated ? badge(t("needs the hub's permission")) : null,
  ];
  return make(
    "article", { class: "card", "data-reference": model.reference },
    make("div", { class: "row" }, make("strong", {}, model.reference), marks),
    facts(told),
    model.problem ? make("p", { class: "failed" }, model.problem) : null,
    model.base ? make("p", { class: "quiet" }, t("It was not trained to chat: it continues texts.")) : null,
    model.note ? make("p", { class: "quiet" }, model.note) : null,
    verdict(model.evaluation),
    make("div", { class: "row actions" }, select, action(model, select, chat)),
  );
}

function action(model, select, chat) {
  if (model.where === "here") return model.base ? null : button(t("Chat"), t("{action} {name}", { action: t("Chat"), name: model.reference }), () => chat(model.reference));
  if (model.problem || (model.where === "package" && model.size == null)) return null;  // there is nothing that could be had from here
  const reference = () => (select ? `${model.reference}:${select.value}` : model.reference);
  return button(t("Download"), t("Download {name}", { name: model.reference }), () => startDownload(reference()));
}

const button = (text, label, onclick) => make("button", { type: "button", class: "small", "aria-label": label, onclick }, text);
