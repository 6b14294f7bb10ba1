// The first screen: what this is, what to ask, how the model is, and the way to a better one.

import { askJson } from "../core/api.js";
import { $, make } from "../core/dom.js";
import { bytes, t } from "../core/words.js";
import { facts } from "../models/facts.js";
import { speed } from "../models/search.js";
import { chosenCard } from "./picker.js";

const EXAMPLES = ["What is the capital of France?", "Explain recursion in two sentences.", "Write a polite reply to a late customer.", "List three names for a small bookshop."];
let suggestions = null;

/** What the first screen says depends on this. */
export function welcomeKey() {
  const card = chosenCard();
  return JSON.stringify([card?.id, card?.status.value, card?.base]);
}

export function drawWelcome() {
  const box = make("div", { class: "welcome", "data-of": welcomeKey() });
  const card = chosenCard();
  const examples = EXAMPLES.map((text) => make("button", { type: "button", class: "example", onclick: () => fill(t(text)) }, t(text)));
  box.append(
    make("h2", {}, t("What can I help with?")),
    make("p", { class: "quiet" }, whereTo(card)),
    make("p", { class: "model-state", role: "status" }, stateOf(card)),
    make("div", { class: "examples" }, ...examples),
  );
  if (!card || card.meta?.shipped) offer(box);
  return box;
}

function fill(text) {
  $("message").value = text;
  $("message").dispatchEvent(new Event("input"));
  $("message").focus();
}

/** Where the questions go. */
function whereTo(card) {
  if (["elsewhere", "switched"].includes(card?.status.value)) return t("This model may run elsewhere: your questions may leave this computer.");
  const local = ["localhost", "127.0.0.1", "[::1]"].includes(location.hostname);
  return local
    ? t("parlant-local runs language models on this computer: for you, for Parlant agents, for any OpenAI client. What you write does not leave it.")
    : t("parlant-local runs language models on this server: for you, for Parlant agents, for any OpenAI client. What you write goes nowhere else.");
}

function stateOf(card) {
  if (!card) return t("No model is installed yet.");
  const name = card.meta?.name || card.id;
  if (card.meta?.shipped) return t("{name} is only for demonstration: it can't hold a real conversation.", { name });
  if (card.base) return t("{name} is a base model: it continues texts, and was not trained to chat.", { name });
  if (["elsewhere", "switched"].includes(card.status.value)) return t("{name} is ready.", { name });
  if (card.status.value === "loaded") return t("{name} is loaded and ready.", { name });
  return t("{name} is loaded with your first question.", { name });
}

/** Real models that fit, each a click from its download. A key that may not administer isn't offered them. */
async function offer(box) {
  try {
    suggestions ??= await askJson("api/recommend?limit=3");
  } catch {
    return;  // not allowed, or the server is gone, which the header says
  }
  if (!suggestions.models.length) return;
  const rows = suggestions.models.map((model) => make(
    "li", {},
    make("div", {}, make("strong", {}, model.name), facts([
      t("{size} to download", { size: bytes(model.size) }), t("{size} of memory", { size: bytes(model.memory) }),
      model.license ? t("licence {name}", { name: model.license }) : "",
    ]), make("small", {}, speed(model))),
    make("button", { type: "button", class: "small", "data-get": model.name, "aria-label": t("Get it: {name}", { name: model.name }), onclick: () => get(model.name) }, t("Get it")),
  ));
  box.append(make("section", { class: "offers", "aria-label": t("Real models") }, make("h3", {}, t("Real models that fit this computer")), make("ul", {}, ...rows)));
}

async function get(name) {
  location.hash = "#/models";
  const { startDownload } = await import("../models/downloads.js");
  await startDownload(name);
}
