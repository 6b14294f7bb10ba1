// A conversation with a model.

import { ask, askJson, events } from "./api.js";
import { $, make, number, seconds } from "./dom.js";
import { Growing } from "./markdown.js";

const NUMBERS = ["temperature", "top_p", "top_k", "min_p", "max_tokens", "seed"];
const SAVED = [...NUMBERS, "system", "reasoning", "model"];
const LONGEST_MARKDOWN = 200_000;  // longer answers are shown as plain text
const DRAWING_SHARE = 0.25;  // of the page's time, while an answer streams

let conversation = [];
let running = null;
let refreshCount = 0;

export function start() {
  for (const name of SAVED) {
    const field = $(name);
    const kept = localStorage.getItem(`parlant-local-${name}`);
    if (kept !== null && name !== "model") field.value = kept;
    field.addEventListener("change", () => localStorage.setItem(`parlant-local-${name}`, field.value));
  }
  $("ask").addEventListener("submit", (event) => { event.preventDefault(); send(); });
  $("message").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); send(); }
  });
  $("stop").addEventListener("click", () => running?.abort());
  document.addEventListener("keydown", (event) => { if (event.key === "Escape" && running) running.abort(); });
  $("clear").addEventListener("click", () => {
    running?.abort();
    conversation = [];
    $("log").replaceChildren();
    $("speed").textContent = "";
    $("message").focus();
  });
  return refreshModels();
}

/** The selectable models; keeps the current selection if possible. */
export async function refreshModels() {
  const turn = ++refreshCount;
  const { data } = await askJson("v1/models");
  if (turn !== refreshCount) return;
  const select = $("model");
  const chosen = select.value || localStorage.getItem("parlant-local-model");
  const able = data.filter((model) => model.capabilities.includes("chat"));
  const fit = able.some((model) => !model.base) ? able.filter((model) => !model.base) : able;
  const names = fit.map((model) => model.id);
  if (names.join() === [...select.options].map((option) => option.value).join()) return;
  select.replaceChildren(...names.map((name) => make("option", { value: name, selected: name === chosen }, name)));
}

function request() {
  const body = { model: $("model").value || undefined, stream: true, stream_options: { include_usage: true } };
  for (const name of NUMBERS) {
    const field = $(name);
    if (field.value !== "" && field.validity.valid) body[name] = field.valueAsNumber;
  }
  const thoughts = $("reasoning").value;
  if (thoughts) body.reasoning = { enabled: thoughts === "on" };
  const system = $("system").value.trim();
  body.messages = [...(system ? [{ role: "system", content: system }] : []), ...conversation];
  return body;
}

async function send() {
  const text = $("message").value.trim();
  if (!text || running) return;
  $("message").value = "";
  conversation.push({ role: "user", content: text });
  const log = $("log");
  log.append(make("div", { class: "turn user" }, make("span", { class: "hidden" }, "You: "), text));
  const turn = new Turn(log);
  running = new AbortController();
  busy(true);
  try {
    const answer = await ask("v1/chat/completions", { method: "POST", body: request(), signal: running.signal });
    for await (const chunk of events(answer)) turn.take(chunk);
    turn.end("");
  } catch (error) {
    if (error.name === "AbortError") turn.end("stopped");
    else turn.fail(error.message);
  }
  running = null;
  busy(false);
  if (turn.content) conversation.push({ role: "assistant", content: turn.content });
  else conversation.pop();  // an unanswered message is not sent again with the next one
  $("message").focus();
}

function busy(on) {
  $("send").hidden = on;
  $("stop").hidden = !on;
  $("log").setAttribute("aria-busy", String(on));
  if (on) $("stop").focus();
}

/** One streamed answer. */
class Turn {
  content = "";
  #reasoning = "";
  #calls = new Map();
  #began = performance.now();
  #first = null;
  #pieces = 0;
  #usage = null;
  #timings = null;
  #drawing = 0;
  #ended = false;
  #rested = 0;  // when it may be redrawn

  constructor(log) {
    this.log = log;
    this.thoughts = make("details", { hidden: true }, make("summary", {}, "Reasoning"), make("div", {}));
    this.body = make("div", {});
    this.calls = make("div", {});
    this.node = make("div", { class: "turn assistant" }, make("span", { class: "hidden" }, "Model: "), this.thoughts, this.body, this.calls);
    this.contentView = new Growing(this.body);
    this.reasoningView = new Growing(this.thoughts.lastChild);
    log.append(this.node);
    this.#follow(true);
  }

  take(chunk) {
    this.#usage = chunk.usage ?? this.#usage;
    this.#timings = chunk.timings ?? this.#timings;
    for (const { delta } of chunk.choices) {
      if (delta.content || delta.reasoning || delta.tool_calls) {
        this.#first ??= performance.now();
        this.#pieces += 1;
      }
      this.content += delta.content ?? "";
      this.#reasoning += delta.reasoning ?? "";
      for (const call of delta.tool_calls ?? []) {
        const known = this.#calls.get(call.index) ?? { name: "", arguments: "" };
        known.name += call.function?.name ?? "";
        known.arguments += call.function?.arguments ?? "";
        this.#calls.set(call.index, known);
      }
    }
    const wait = Math.max(0, this.#rested - performance.now());
    this.#drawing ||= setTimeout(() => requestAnimationFrame(() => { this.#drawing = 0; if (!this.#ended) this.#draw(); }), wait);
    this.#tell("");
  }

  end(note) {
    this.#draw(true);
    this.#tell(note);
  }

  fail(message) {
    this.#draw(true);
    this.body.append(make("p", { class: "failed", role: "alert" }, message));
    this.#tell("failed");
    this.#follow(true);
  }

  #draw(whole = false) {
    this.#ended ||= whole;
    const began = performance.now();
    const near = this.log.scrollHeight - this.log.scrollTop - this.log.clientHeight < 80;
    this.thoughts.hidden = !this.#reasoning;
    write(this.reasoningView, this.#reasoning, whole);
    write(this.contentView, this.content, whole);
    this.calls.replaceChildren(...[...this.#calls.values()].map((call) => make("pre", { "aria-label": "Tool call" }, make("code", {}, `${call.name}(${call.arguments})`))));
    this.#follow(near);
    const now = performance.now();
    this.#rested = now + (now - began) * (1 / DRAWING_SHARE - 1);
  }

  #follow(near) {
    if (near) this.log.scrollTop = this.log.scrollHeight;
  }

  #tell(note) {
    const now = performance.now();
    const tokens = this.#usage?.completion_tokens ?? this.#pieces;
    const spent = (now - (this.#first ?? now)) / 1000;
    const rate = this.#timings?.decode ? tokens / this.#timings.decode : spent > 0.05 ? tokens / spent : null;
    const facts = [
      note,
      `${number(tokens)} tokens`,
      rate == null ? "" : `${number(rate, 1)} tokens/s`,
      this.#first ? `first token after ${seconds((this.#first - this.#began) / 1000)}` : "",
      this.#usage ? `prompt ${number(this.#usage.prompt_tokens)}, ${number(this.#usage.prompt_tokens_details?.cached_tokens ?? 0)} from cache` : "",
    ];
    $("speed").textContent = facts.filter(Boolean).join(" · ");
  }
}

function write(growing, text, whole) {
  if (text.length > LONGEST_MARKDOWN) growing.box.replaceChildren(make("pre", {}, text));
  else if (whole) growing.finish(text);
  else growing.update(text);
}
