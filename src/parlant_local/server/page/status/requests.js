// The last hundred requests.

import { $, make, refill } from "../core/dom.js";
import { clock, number, percent, seconds, t } from "../core/words.js";

export function drawRequests(requests) {
  refill($("request-rows"), requests.length ? requests.map(row) : [make("tr", {}, make("td", { colspan: "7" }, t("None yet.")))]);
}

function row(request) {
  const cell = (label, ...children) => make("td", { "data-label": label }, ...children);
  const tokens = request.prompt_tokens || request.completion_tokens
    ? t("{read} read, {reused} reused, {written} written", { read: number(request.prompt_tokens), reused: number(request.cached_tokens), written: number(request.completion_tokens) }) : "–";
  return make(
    "tr", { class: request.error ? "bad" : request.running ? "running" : null },
    cell(t("Time"), clock(request.time)),
    cell(t("Request"), `${request.method} ${request.path}`, request.schema ? make("small", {}, request.schema) : null),
    cell(t("Model"), request.model ?? "–"),
    cell(t("Took"), seconds(request.seconds)),
    cell(t("First word"), seconds(request.first_token)),
    cell(t("Tokens"), tokens),
    cell(t("Result"), outcome(request)),
  );
}

const FINISHES = { stop: "answered", length: "cut off at the limit of tokens", tool_calls: "called a tool", content_filter: "filtered" };
const PHASES = { memory: "waiting for memory", loading: "loading the model", waiting: "in the queue", reading: "reading the prompt" };

/** In words: how it went, or how far it is. */
function outcome(request) {
  if (request.running) {
    const now = request.progress;
    if (!now) return t("running");
    return now.share == null ? t(PHASES[now.phase]) : `${t(PHASES[now.phase])}, ${percent(now.share)}`;
  }
  if (request.error) return make("span", { class: "failed" }, `${request.status}: ${request.error}`);
  if (request.finish) return t(FINISHES[request.finish] ?? request.finish);
  if (request.status === 499 || (request.streamed && !request.finish)) return t("stopped by the client");
  return request.status < 400 ? t("done") : String(request.status);
}
