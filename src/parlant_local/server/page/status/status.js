// What the server is doing, as it does it.

import { askJson } from "../core/api.js";
import { $, make, refill } from "../core/dom.js";
import { bytes, number, percent, seconds, t } from "../core/words.js";
import { Charts } from "./charts.js";
import { drawRequests } from "./requests.js";
import { drawSwitcher } from "./switcher.js";

let charts = null;
let before = null;

export function start() {
  charts = new Charts($("charts"), [
    ["throughput", t("Tokens written per second"), (value) => number(value, 1), 1],
    ["queue", t("Requests running and waiting"), (value) => number(value), 1],
    ["hits", t("Of the prompts, reused"), percent, 1],
    ["cache", t("Room for conversations in use"), percent, 1],
    ["memory", t("Memory of the server"), bytes, 1],
    ["cpu", t("Processor"), (value) => `${number(value)} %`, 100],
  ]);
}

/** Fetches the status, draws it and returns it; the tables only while somebody looks at them. */
export async function refresh({ visible }) {
  const [status, requests] = await Promise.all([askJson("api/status"), askJson("api/requests")]);
  const engines = Object.values(status.models).map((model) => model.engine).filter(Boolean);
  const sum = (field) => engines.reduce((total, engine) => total + engine[field], 0);
  const prompts = sum("prompt_tokens");
  const written = writtenBy(requests.requests);
  const passed = before ? status.time - before.time : 0;
  charts.note({
    throughput: passed > 0 ? Math.max(0, written - before.written) / passed : 0,
    queue: sum("running") + sum("waiting"),
    hits: prompts ? sum("reused_tokens") / prompts : 0,
    cache: sum("cells") ? sum("cells_used") / sum("cells") : 0,
    memory: status.machine.process_memory,
    cpu: status.machine.cpu_percent,
  });
  before = { time: status.time, written };
  if (visible) {
    drawEngines(status);
    drawMachine(status);
    drawRequests(requests.requests);
    drawSwitcher(status.switcher);
  }
  return status;
}

const writes = new Map();
let ended = 0;

/** Tokens written since the page was opened, those of running requests included, so that the figure moves while they stream. */
function writtenBy(requests) {
  for (const request of requests) {
    const known = writes.get(request.id) ?? 0;
    ended += Math.max(0, request.completion_tokens - known);
    writes.set(request.id, Math.max(known, request.completion_tokens));
  }
  for (const id of writes.keys()) if (!requests.some((request) => request.id === id)) writes.delete(id);
  return ended;
}

function drawEngines(status) {
  refill($("engine-cards"), Object.entries(status.models).map(([name, { state, size, engine }]) => {
    const facts = !engine ? [] : [
      [t("Answering now"), number(engine.running)],
      [t("Waiting"), number(engine.waiting)],
      [t("Answered"), number(engine.finished)],
      [t("Speed while writing"), t("{rate} tokens/s", { rate: number(engine.tokens_per_second, 1) })],
      [t("Typical wait for the first word"), seconds(engine.first_token_p50)],
      [t("Of the prompts, reused"), percent(engine.prefix_hit_rate)],
      [t("Room for conversations"), t("{used} of {all} tokens", { used: number(engine.cells_used), all: number(engine.cells) })],
      [t("Memory"), bytes(size)],
    ];
    return make("article", { class: "card" }, make("div", { class: "row" }, make("strong", {}, name), make("span", { class: `badge ${state === "loaded" ? "good" : ""}` }, t(state))), list(facts));
  }));
  $("engine-none").hidden = Object.keys(status.models).length > 0;
}

const list = (facts) => make("dl", {}, ...facts.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]));

function drawMachine({ machine, uptime_seconds: uptime }) {
  refill($("machine"), [list([
    [t("Processor"), t("{share} % of {count} cores", { share: number(machine.cpu_percent), count: machine.cpu_count })],
    [t("Memory"), t("{used} of {all}", { used: bytes(machine.memory_used), all: bytes(machine.memory_total) })],
    ...machine.gpus.map((gpu) => [gpu.name, `${number(gpu.percent)} %, ${t("{used} of {all}", { used: bytes(gpu.memory_used), all: bytes(gpu.memory_total) })}`]),
    [t("Running for"), seconds(uptime)],
  ])]);
}
