// Which model answers.

import { askJson } from "../core/api.js";
import { $, make } from "../core/dom.js";
import { t } from "../core/words.js";

const KEY = "parlant-local-model";
let cards = [];
let refreshCount = 0;

export const chosenModel = () => $("model").value;
export const cardOf = (model) => cards.find((card) => card.id === model) ?? null;
export const chosenCard = () => cardOf($("model").value);

export function start(changed) {
  $("model").addEventListener("change", () => {
    localStorage.setItem(KEY, $("model").value);
    changed();
  });
}

export function choose(name) {
  if (![...$("model").options].some((option) => option.value === name)) return;
  $("model").value = name;
  $("model").dispatchEvent(new Event("change"));
}

/** The models that chat; keeps the current choice if possible. Base models are marked, and come last. */
export async function refresh() {
  const turn = ++refreshCount;
  const { data } = await askJson("v1/models");
  if (turn !== refreshCount) return;
  cards = data.filter((model) => model.capabilities.includes("chat")).sort((a, b) => Number(Boolean(a.base)) - Number(Boolean(b.base)));
  const select = $("model");
  const labels = cards.map((card) => (card.base ? t("{name} (base model)", { name: shortName(card) }) : shortName(card)));
  if (labels.join("\n") === [...select.options].map((option) => option.textContent).join("\n")) return;
  const chosen = select.value || localStorage.getItem(KEY);
  select.replaceChildren(...cards.map((card, at) => make("option", { value: card.id, title: card.id, selected: card.id === chosen }, labels[at])));
}

/** Without the folders of its id, where no other has the same. */
function shortName({ id }) {
  const last = (name) => name.split("/").at(-1);
  return cards.filter((other) => last(other.id) === last(id)).length > 1 ? id : last(id);
}
