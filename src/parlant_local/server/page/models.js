// Models: installed, loaded and downloading ones.

import { ask, askJson, events } from "./api.js";
import { refreshModels } from "./chat.js";
import { $, bytes, make, number, refill, seconds } from "./dom.js";

const WORDS = {
  unloaded: "on disk", loaded: "loaded", loading: "loading …", unloading: "unloading …", broken: "broken",
  incomplete: "incomplete", downloading: "downloading", not_runnable: "not supported",
};
let downloads = new Map();
let refreshCount = 0;

export function start() {
  $("add").addEventListener("submit", async (event) => {
    event.preventDefault();
    const name = $("reference").value.trim();
    if (!name) return;
    await act(async () => {
      const { download } = await askJson("models", { method: "POST", body: { model: name } });
      note(download);
      $("add-note").textContent = `Downloading ${download.reference}.`;
      $("reference").value = "";
    });
  });
  watch();
}

export async function refresh() {
  const turn = ++refreshCount;
  const { data, downloads: known } = await askJson("models");
  if (turn !== refreshCount) return;  // a later refresh is running; this one may be stale
  downloads = new Map(known.map((item) => [item.reference, item]));
  drawDownloads();
  refill($("model-rows"), data.map(row));
}

/**
 * Follows what happens while somebody looks; a connection that breaks is made anew. Hidden tabs and pages that a browser
 * keeps for its back button let go of theirs: it opens six to one server at most, and every page needs one for its requests.
 */
async function watch() {
  for (let reconnected = false; ; reconnected = true) {
    if (document.hidden) await new Promise((resolve) => document.addEventListener("visibilitychange", resolve, { once: true }));
    const listening = new AbortController();
    const disconnect = (event) => { if (document.hidden || event.type === "pagehide") listening.abort(); };
    document.addEventListener("visibilitychange", disconnect);
    addEventListener("pagehide", disconnect);
    try {
      for await (const event of events(await ask("models/sse", { signal: listening.signal }))) {
        if (event.event === "download") note(event);
        // Events that were missed are not repeated.
        const changed = event.event === "status" || (event.event === "hello" && reconnected);
        if (changed || (event.event === "download" && event.state !== "downloading")) {
          await Promise.all([refresh(), refreshModels()]);
        }
      }
    } catch (error) {
      if (error.status === 403) return;  // this key may not administer
      // The server is unreachable, as the health line shows, or the page is hidden.
    }
    document.removeEventListener("visibilitychange", disconnect);
    removeEventListener("pagehide", disconnect);
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
  const details = [model.meta.family, model.base && "base model, not trained to chat", model.meta.quantization, model.meta.license];
  const facts = details.filter(Boolean).join(" · ");
  const actions = [];
  if (state === "unloaded") actions.push(button("Load", `load ${model.id}`, "models/load", model.id));
  if (state === "loaded") actions.push(button("Unload", `unload ${model.id}`, "models/unload", model.id));
  if (!model.meta.shipped && model.root === model.id && !["loading", "unloading", "downloading"].includes(state)) {
    actions.push(make("button", { type: "button", "data-focus": `delete ${model.id}`, "aria-label": `Delete ${model.id}`, onclick: () => remove(model.id) }, "Delete"));
  }
  return make(
    "tr", {},
    make("td", {}, model.id, make("small", {}, model.meta.shipped ? `${facts} · for demonstration only` : facts)),
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
  $("confirm-text").textContent = `Delete ${model}? Files that other models use, or that were added in place, are kept.`;
  dialog.returnValue = "no";
  dialog.showModal();
  await new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
  if (dialog.returnValue === "yes") await act(() => ask(`models?model=${encodeURIComponent(model)}`, { method: "DELETE" }));
}

/** Runs an action and shows its error. */
async function act(work) {
  $("add-note").textContent = "";
  try {
    await work();
  } catch (error) {
    $("add-note").textContent = error.message;
  }
  await Promise.all([refresh(), refreshModels()]);
}
