// An answer that comes: it belongs to its message, whichever conversation is shown meanwhile.

import { ask, events } from "../core/api.js";
import { cardOf, refresh } from "./picker.js";
import { bodyOf } from "./request.js";

const running = new Map();  // message: its AbortController

export const isRunning = (message) => running.has(message);
export const runningIn = (conversation) => [...running.keys()].find((message) => conversation.messages[message.id] === message);

export function stop(message) {
  running.get(message)?.abort();
}

/**
 * Fills `message` with the model's answer to `messages`; `changed` is called after every piece, and at the end.
 * Never throws: what went wrong is the message's state.
 */
export async function answer(model, messages, message, changed, { continued = false } = {}) {
  const control = new AbortController();
  running.set(message, control);
  const before = continued ? message.content : "";
  Object.assign(message, { model, state: "running", progress: null, error: null, content: before, calls: [], began: Date.now() });
  if (!continued) Object.assign(message, { reasoning: "", thought: null, figures: null });
  const meter = new Meter(message);
  try {
    const body = bodyOf(model, continued ? [...messages, message] : messages, { continued });
    const asking = ask("v1/chat/completions", { method: "POST", body, signal: control.signal });
    changed(message);  // drawn while the server begins
    const response = await asking;
    for await (const chunk of events(response)) {
      take(message, chunk, meter);
      changed(message);
    }
    meter.end();
    if (cardOf(model)?.status.value === "unloaded") await refresh().catch(() => {});  // it was loaded for this, and its context is known now
    if (meter.finish === "length") message.figures.full = Number(isFull(message.figures, model));
    message.state = meter.finish === "length" ? "cut" : message.calls.length ? "calls" : "done";
  } catch (error) {
    meter.end();
    message.state = error.name === "AbortError" ? "stopped" : "failed";
    if (message.state === "failed") message.error = error.message;
  }
  message.progress = null;
  running.delete(message);
  changed(message);
}

/** Whether the model's context was the limit, and not the settings' longest answer. */
function isFull({ prompt, tokens }, model) {
  const room = cardOf(model)?.meta?.n_ctx;
  return Boolean(room && prompt && prompt + tokens >= room - 1);
}

function take(message, chunk, meter) {
  if (chunk.progress) message.progress = chunk.progress;
  meter.take(chunk);
  for (const { delta, finish_reason: finish } of chunk.choices) {
    meter.finish = finish ?? meter.finish;
    const thought = delta.reasoning ?? "";
    if (thought || delta.content || delta.tool_calls) message.progress = null;
    if (thought) {
      message.reasoning += thought;
      message.thinkingSince ??= Date.now();
    }
    if ((delta.content || delta.tool_calls) && message.thinkingSince) {
      message.thought = (Date.now() - message.thinkingSince) / 1000;
      delete message.thinkingSince;
    }
    message.content += delta.content ?? "";
    for (const call of delta.tool_calls ?? []) {
      const known = (message.calls[call.index] ??= { id: "", name: "", arguments: "" });
      known.id ||= call.id ?? "";
      known.name += call.function?.name ?? "";
      known.arguments += call.function?.arguments ?? "";
    }
  }
}

/** The figures of one answer, as they are while it comes and as the server counts them at its end. */
class Meter {
  finish = null;
  #began = performance.now();
  #first = null;
  #pieces = 0;

  constructor(message) { this.message = message; }

  take(chunk) {
    for (const { delta } of chunk.choices) {
      if (!delta.content && !delta.reasoning && !delta.tool_calls) continue;
      this.#first ??= performance.now();
      this.#pieces += 1;
    }
    const spent = (performance.now() - (this.#first ?? performance.now())) / 1000;
    const figures = (this.message.figures ??= {});
    if (this.#first) figures.first = (this.#first - this.#began) / 1000;
    figures.tokens = chunk.usage?.completion_tokens ?? figures.counted ?? this.#pieces;
    if (chunk.usage) {
      figures.counted = chunk.usage.completion_tokens;
      figures.prompt = chunk.usage.prompt_tokens;
      figures.reused = chunk.usage.prompt_tokens_details?.cached_tokens ?? 0;
    }
    if (chunk.timings?.decode) figures.decode = chunk.timings.decode;
    const time = figures.decode ?? (spent > 0.05 ? spent : null);
    figures.rate = time ? figures.tokens / time : null;
  }

  end() {
    const { message } = this;
    if (message.thinkingSince) {
      message.thought = (Date.now() - message.thinkingSince) / 1000;
      delete message.thinkingSince;
    }
    message.figures ??= {};
    message.calls = message.calls.filter(Boolean);
    delete message.began;
  }
}
