// Finding models: by words, or by an exact reference; and what is recommended while nobody looks for one.

import { askJson } from "../core/api.js";
import { $, refill } from "../core/dom.js";
import { t } from "../core/words.js";
import { startDownload } from "./downloads.js";
import { card } from "./found.js";

const RECOMMENDED = 6;
let asking = null;
let chat = () => {};
let recommended = null;

/** `talk` starts a conversation with a model. */
export function start(talk) {
  chat = talk;
  $("add").addEventListener("submit", (event) => {
    event.preventDefault();
    const text = $("reference").value.trim();
    if (text) search(text);
  });
  $("reference").addEventListener("input", () => { if (!$("reference").value.trim()) clear(); });
  $("exact").addEventListener("click", () => {
    const text = $("reference").value.trim();
    if (text) startDownload(text);
    else $("reference").focus();
  });
}

function clear() {
  asking?.abort();
  $("found").replaceChildren();
  $("found-note").textContent = "";
  $("suggested").hidden = !recommended?.length;
}

async function search(words) {
  asking?.abort();
  const mine = asking = new AbortController();
  $("suggested").hidden = true;
  $("found-note").textContent = t("Searching …");
  try {
    const found = await askJson(`api/search?query=${encodeURIComponent(words)}`, { signal: mine.signal });
    if (asking !== mine) return;
    refill($("found"), found.models.map((model) => card(model, chat)));
    $("found-note").textContent = [
      found.models.length ? t("{count} models found.", { count: found.models.length }) : t("Nothing found. Names look like llama3.2:3b, user/repo:Q4_K_M or pypi:package."),
      found.hub_problem ? t("The hub was not searched: {reason}", { reason: found.hub_problem }) : "",
    ].filter(Boolean).join(" ");
  } catch (error) {
    if (error.name !== "AbortError") $("found-note").textContent = error.message;
  }
}

/** Asked for once; a key that may not administer sees no models at all. */
export async function recommend() {
  if (recommended) return;
  recommended = [];
  const { models } = await askJson(`api/recommend?limit=${RECOMMENDED}`);
  recommended = models.map((model) => ({
    reference: model.name, where: "well-known", fits: true, parameters: model.parameters * 1e9, size: model.size, quantization: "Q4_K_M", license: model.license,
    note: speed(model),
  }));
  $("recommended").replaceChildren(...recommended.map((model) => card(model, chat)));
  $("suggested").hidden = !recommended.length || $("found").hasChildNodes();
}

export const speed = (model) => [model.responsive ? t("Quick enough for an agent here.") : t("Slow on this computer."), model.reasoning ? t("Thinks before it answers.") : ""].filter(Boolean).join(" ");
