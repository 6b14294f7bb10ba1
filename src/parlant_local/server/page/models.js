// Models: what is here, what is loaded, what is on its way.

import { ask, askJson, events } from "./api.js";
import { refreshModels } from "./chat.js";
import { $, bytes, make, number, refill, seconds } from "./dom.js";

const WORDS = {
  unloaded: "on disk", loaded: "loaded", loading: "loading …", unloading: "unloading …", broken: "broken",
  incomplete: "incomplete", downloading: "downloading", not_runnable: "can't run here",
};
let downloads = new Map();
let asked = 0;

export function start() {
  $("add").addEventListener("submit", async (event) => {
    event.preventDefault();
    const name = $("reference").value.trim();
    if (!name) return;
    await act(async () => {
      const { download } = await askJson("models", { method: "POST", body: { model: name } });
      note(download);
      $("add-note").textContent = `Fetching ${download.reference}.`;
      $("reference").value = "";
    });
  });
  watch();
}

export async function refresh() {
  const turn = ++asked;
  const { data, downloads: known } = await askJson("models");
  if (turn !== asked) return;  // a later look is on its way; this one may be stale
  downloads = new Map(known.map((item) => [item.reference, item]));
  drawDownloads();
  refill($("model-rows"), data.map(row));
}

/**
 * Follows what happens while somebody looks; a connection that breaks is made anew. Hidden tabs and pages that a browser
 * keeps for its back button let go of theirs: it opens six to one server at most, and every page needs one for its requests.
 */
async function watch() {
  for (let again = false; ; again = true) {
    if (document.hidden) await new Promise((resolve) => document.addEventListener("visibilitychange", resolve, { once: true }));
    const listening = new AbortController();
    const letGo = (event) => { if (document.hidden || event.type === "pagehide") listening.abort(); };
    document.addEventListener("visibilitychange", letGo);
    addEventListener("pagehide", letGo);
    try {
      for await (const event of events(await ask("models/sse", { signal: listening.signal }))) {
        if (event.event === "download") note(event);
        // What happened while nobody listened is not told again.
        const changed = event.event === "status" || (event.event === "hello" && again);
        if (changed || (event.event === "download" && event.state !== "downloading")) {
          await Promise.all([refresh(), refreshModels()]);
        }
      }
    } catch (error) {
      if (error.status === 403) return;  // this key may only ask
      // The server is gone for now, as the health line says, or nobody looks.
    }
    document.removeEventListener("visibilitychange", letGo);
    removeEventListener("pagehide", letGo);
    if (!document.hidden) await new Promise((resolve) => setTimeout(resolve, 2000));
  }
}

function note(download) {
  downloads.set(download.reference, download);
  drawDownloads();
}

function drawDownloads() {
  refill($("downloads"), [...downloads.values()].map((item) => {
    const active = item.state === "downloading";
    const speed = active && item.rate ? ` · ${bytes(item.rate)}/s` : "";
    const left = active && item.seconds_left != null ? ` · ${seconds(item.seconds_left)} left` : "";
    const facts = `${bytes(item.done)} of ${bytes(item.total)}${speed}${left}`;
    return make(
      "div",
      { class: "download", "data-reference": item.reference },
      make("strong", {}, item.reference), ` ${item.state}`,
      active ? make("progress", { max: item.total ?? 1, value: item.total ? item.done : null, "aria-label": `Download of ${item.reference}` }) : null,
      make("div", {}, item.error ?? facts),
      active
        ? button("Cancel", `cancel ${item.reference}`, "models/cancel", item.reference)
        : null,
    );
  }));
}

function row(model) {
  const state = model.status.value;
  const here = ["unloaded", "loaded", "loading", "unloading"].includes(state);
  const told = [model.meta.family, model.base && "base: completes, was not taught to chat", model.meta.quantization, model.meta.license];
  const facts = told.filter(Boolean).join(" · ");
  const actions = [];
  if (state === "unloaded") actions.push(button("Load", `load ${model.id}`, "models/load", model.id));
  if (state === "loaded") actions.push(button("Unload", `unload ${model.id}`, "models/unload", model.id));
  if (!model.meta.shipped && model.root === model.id && !["loading", "unloading", "downloading"].includes(state)) {
    actions.push(make("button", { type: "button", "data-focus": `delete ${model.id}`, "aria-label": `Delete ${model.id}`, onclick: () => remove(model.id) }, "Delete"));
  }
  return make(
    "tr", {},
    make("td", {}, model.id, make("small", {}, model.meta.shipped ? `${facts} · a proof of life, not for work` : facts)),
    make("td", {}, bytes(model.meta.size ?? model.status.total)),
    make("td", {}, number(model.meta.n_ctx ?? model.meta.n_ctx_train)),
    make("td", {}, WORDS[state] ?? state, model.status.reason ? make("small", {}, model.status.reason) : null),
    make("td", {}, ...(here || actions.length ? actions : [])),
  );
}

function button(label, focus, path, model) {
  const node = make("button", { type: "button", "data-focus": focus, "aria-label": `${label} ${model}` }, label);
  node.addEventListener("click", () => act(async () => {
    node.disabled = true;
    await ask(path, { method: "POST", body: { model } });
  }));
  return node;
}

async function remove(model) {
  const dialog = $("confirm");
  $("confirm-text").textContent = `Delete ${model} from the catalogue, and its files where nothing else uses them?`;
  dialog.returnValue = "no";
  dialog.showModal();
  await new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
  if (dialog.returnValue === "yes") await act(() => ask(`models?model=${encodeURIComponent(model)}`, { method: "DELETE" }));
}

/** Runs what a button is for, and says what went wrong. */
async function act(work) {
  $("add-note").textContent = "";
  try {
    await work();
  } catch (error) {
    $("add-note").textContent = error.message;
  }
  await Promise.all([refresh(), refreshModels()]);
}
