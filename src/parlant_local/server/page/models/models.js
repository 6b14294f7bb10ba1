// Models: what is here, what is loaded and what it takes.

import { ask, askJson, events } from "../core/api.js";
import { $, confirmed, make, refill } from "../core/dom.js";
import { bytes, number, parameters, percent, t } from "../core/words.js";
import * as downloads from "./downloads.js";
import { badge, facts, verdict } from "./facts.js";
import * as search from "./search.js";

const WORDS = {
  unloaded: "on disk", loaded: "loaded", loading: "loading …", unloading: "unloading …", broken: "broken",
  incomplete: "incomplete", downloading: "downloading", not_runnable: "not supported",
};
const UNFINISHED = ["incomplete", "downloading"];
const BUSY = ["loading", "unloading", "downloading"];
let refreshCount = 0;
let pickable = async () => {};
let talk = () => {};

/** `changed` is called when models have come or gone; `chat` starts a conversation with one. */
export function start(changed, chat) {
  pickable = changed;
  talk = chat;
  downloads.start(refreshAll, chat);
  search.start(chat);
  watch();
}

const refreshAll = async () => { await pickable(); await refresh(); };

export async function refresh() {
  const turn = ++refreshCount;
  const { data, downloads: known } = await askJson("models");
  if (turn !== refreshCount) return;  // a later refresh is running; this one may be stale
  downloads.take(known);
  const followed = new Set(known.map((item) => item.reference));  // each is shown once
  refill($("model-cards"), data.filter((model) => !UNFINISHED.includes(model.status.value) || !model.meta.references?.some((name) => followed.has(name))).map(card));
  $("examine").hidden = data.some((model) => model.evaluation);
  search.recommend().catch(() => {});
  if (data.some((model) => model.status.value === "loading")) setTimeout(() => refresh().catch(() => {}), 500);  // the header tells when the server is gone
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
      for await (const event of events(await ask("models/sse", { signal: listening.signal }), { endless: true })) {
        if (event.event === "hello") { if (reconnected) await refreshAll(); }
        else if (event.event === "download") {
          downloads.note(event);
          if (event.state !== "downloading") await refreshAll();
        } else await refreshAll();
      }
    } catch (error) {
      if (error.status === 403) return;  // this key may not administer
    } finally {
      document.removeEventListener("visibilitychange", disconnect);
      removeEventListener("pagehide", disconnect);
    }
    await new Promise((resolve) => setTimeout(resolve, 2000));
  }
}

function card(model) {
  const { status, meta } = model;
  const state = status.value;
  const told = [
    meta.n_params ? parameters(meta.n_params) : "", meta.quantization,
    bytes(meta.size ?? status.total), meta.n_ctx || meta.n_ctx_train ? t("{count} tokens of context", { count: number(meta.n_ctx ?? meta.n_ctx_train) }) : "",
    meta.license ? t("licence {name}", { name: meta.license }) : "",
  ];
  return make(
    "article", { class: "card", "data-model": model.id },
    make(
      "div", { class: "row" }, make("strong", {}, model.id), badge(t(WORDS[state] ?? state), state === "loaded" ? "good" : state === "broken" ? "bad" : ""),
      model.base ? badge(t("base model"), "bad") : null, meta.shipped ? badge(t("for demonstration only")) : null,
    ),
    facts(told),
    model.base ? make("p", { class: "quiet" }, t("It was not trained to chat: it continues texts.")) : null,
    verdict(model.evaluation),
    status.reason ? make("p", { class: state === "broken" ? "failed" : "quiet" }, status.reason) : null,
    state === "loading" ? make("progress", { max: "1", value: status.share ?? null, "aria-label": t("Loading the model … {share}", { share: percent(status.share ?? 0) }) }) : null,
    state === "loaded" ? make("p", { class: "quiet" }, t("Takes {size} of memory", { size: bytes(status.size) }), status.users ? ` · ${t("answering {count} requests", { count: number(status.users) })}` : "") : null,
    make("div", { class: "row actions" }, ...actions(model, state)),
  );
}

function actions(model, state) {
  const button = (label, work, kind = "") => make("button", { type: "button", class: `small ${kind}`, "data-focus": `${label} ${model.id}`, "aria-label": t("{action} {name}", { action: label, name: model.id }), onclick: work }, label);
  const found = [];
  if (["loaded", "unloaded"].includes(state) && model.capabilities.includes("chat")) found.push(button(t("Chat"), () => talk(model.id)));
  if (state === "unloaded") found.push(button(t("Load"), (event) => post("models/load", model.id, event.currentTarget)));
  if (state === "loaded") found.push(button(t("Unload"), (event) => post("models/unload", model.id, event.currentTarget)));
  if (state === "incomplete" && model.meta.references?.length) found.push(button(t("Resume"), () => downloads.startDownload(model.meta.references[0])));
  if (!model.meta.shipped && model.root === model.id && !BUSY.includes(state)) found.push(button(t("Delete"), () => remove(model), "danger"));
  return found;
}

function post(path, model, button) {
  button.disabled = true;
  return downloads.act(async () => {
    const asked = ask(path, { method: "POST", body: { model } });
    refresh().catch(() => {});  // shows that it loads
    await asked;
  });
}

async function remove(model) {
  const text = t("Delete {name}? Files that other models use, or that were added in place, are kept.", { name: model.id });
  if (!(await confirmed(text, { yes: t("Delete"), danger: true }))) return;
  await downloads.act(() => ask(`models?model=${encodeURIComponent(model.id)}`, { method: "DELETE" }));
}
