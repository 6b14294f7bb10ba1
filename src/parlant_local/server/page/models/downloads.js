// Downloads: started, paused, gone on with, discarded.

import { ask, askJson } from "../core/api.js";
import { $, confirmed, make, refill } from "../core/dom.js";
import { bytes, percent, seconds, t } from "../core/words.js";

let known = new Map();
let changed = async () => {};
let chat = () => {};
const hidden = new Set();  // ended ones that somebody has seen

/** `talk` starts a conversation with a model. */
export function start(refresh, talk) {
  changed = refresh;
  chat = talk;
}

export function take(downloads) {
  known = new Map(downloads.map((item) => [item.reference, item]));
  for (const item of downloads) if (item.state === "downloading") hidden.delete(item.reference);
  draw();
}

export function note(item) {
  known.set(item.reference, item);
  if (item.state === "downloading") hidden.delete(item.reference);
  else if ($("add-note").dataset.of === item.reference) $("add-note").textContent = "";
  draw();
}

/** Starts a download, or goes on with one. What goes wrong is told. */
export function startDownload(reference) {
  return act(async () => {
    const { download } = await askJson("models", { method: "POST", body: { model: reference } });
    $("add-note").textContent = t("Downloading {name}.", { name: download.reference });
    $("add-note").dataset.of = download.reference;
    note(download);
  });
}

const canChat = (model) => [...$("model").options].some((option) => option.value === model);

const STATES = { downloading: "downloading", cancelled: "paused", failed: "failed", done: "done" };

function draw() {
  refill($("downloads"), [...known.values()].filter((item) => !hidden.has(item.reference)).map((item) => {
    const active = item.state === "downloading";
    const share = item.total ? item.done / item.total : null;
    const facts = [
      share == null ? bytes(item.done) : t("{done} of {total} ({share})", { done: bytes(item.done), total: bytes(item.total), share: percent(share) }),
      active && item.rate ? `${bytes(item.rate)}/s` : "",
      active && item.seconds_left != null ? t("{time} left", { time: seconds(item.seconds_left) }) : "",
    ];
    const button = (label, work, danger) => make("button", { type: "button", class: danger ? "small danger" : "small", "data-focus": `${label} ${item.reference}`, "aria-label": t("{action} {name}", { action: label, name: item.reference }), onclick: work }, label);
    return make(
      "div", { class: `download ${item.state}`, "data-reference": item.reference },
      make("div", { class: "row" }, make("strong", {}, item.reference), make("span", { class: "badge" }, t(STATES[item.state]))),
      active || item.state === "cancelled" ? make("progress", { max: item.total ?? 1, value: item.total ? item.done : null, "aria-label": t("Download of {name}", { name: item.reference }) }) : null,
      make("p", { class: item.error ? "failed" : "quiet" }, item.error ?? facts.filter(Boolean).join(" · ")),
      make(
        "div", { class: "row" },
        active ? button(t("Pause"), () => act(() => ask("models/cancel", { method: "POST", body: { model: item.reference } }))) : null,
        item.state === "cancelled" ? button(t("Resume"), () => startDownload(item.reference)) : null,
        item.state === "failed" ? button(t("Retry"), () => startDownload(item.reference)) : null,
        item.state === "cancelled" ? button(t("Discard"), () => discard(item), true) : null,
        item.state === "done" && canChat(item.model) ? button(t("Chat"), () => chat(item.model)) : null,
        item.state === "done" || item.state === "failed" ? button(t("Hide"), () => { hidden.add(item.reference); draw(); }) : null,
      ),
    );
  }));
}

async function discard(item) {
  if (!(await confirmed(t("Discard what was downloaded of {name}?", { name: item.reference }), { yes: t("Discard"), danger: true }))) return;
  await act(async () => {
    const { data } = await askJson("models");
    const partial = data.find((model) => model.status.value === "incomplete" && model.meta.references?.includes(item.reference));
    if (partial) await ask(`models?model=${encodeURIComponent(partial.id)}`, { method: "DELETE" });
    hidden.add(item.reference);  // the server goes on telling of it
    draw();
  });
}

/** Runs an action, tells its error, and shows what has changed. */
export async function act(work) {
  $("add-note").textContent = "";
  $("add-note").classList.remove("failed");
  try {
    await work();
  } catch (error) {
    $("add-note").textContent = error.message;
    $("add-note").classList.add("failed");
  }
  await changed();
}
