// What the server is doing, refreshed live.

import { askJson } from "./api.js";
import { $, bytes, make, number, percent, refill, seconds } from "./dom.js";

const KEPT = 120;  // points of a chart
const SVG = "http://www.w3.org/2000/svg";
const CHARTS = [
  ["throughput", "Tokens per second", (value) => number(value, 1)],
  ["queue", "Requests running and waiting", (value) => number(value)],
  ["cache", "KV cache in use", percent],
  ["hits", "Prompt tokens from cache", percent],
  ["memory", "Server memory", bytes],
  ["cpu", "Processor", (value) => `${number(value)} %`],
];
const history = Object.fromEntries(CHARTS.map(([name]) => [name, []]));
let before = null;

export function start() {
  $("charts").replaceChildren(...CHARTS.map(([name, label]) => {
    const line = document.createElementNS(SVG, "polyline");
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("viewBox", `0 0 ${KEPT} 100`);
    svg.setAttribute("preserveAspectRatio", "none");
    svg.setAttribute("aria-hidden", "true");
    svg.append(line);
    return make("figure", { "data-chart": name }, make("figcaption", {}, label, make("b", {}, "–")), svg);
  }));
}

/** Fetches the status, draws it and returns it. */
export async function refresh() {
  const status = await askJson("api/status");
  const engines = Object.values(status.models).map((model) => model.engine).filter(Boolean);
  const sum = (field) => engines.reduce((total, engine) => total + engine[field], 0);
  const made = sum("sampled_tokens") + sum("forced_tokens");
  const passed = before ? status.time - before.time : 0;
  const prompts = sum("prompt_tokens");
  note("throughput", passed > 0 ? Math.max(0, made - before.made) / passed : 0);
  note("queue", sum("running") + sum("waiting"));
  note("cache", sum("cells") ? sum("cells_used") / sum("cells") : 0);
  note("hits", prompts ? sum("reused_tokens") / prompts : 0);
  note("memory", status.machine.process_memory);
  note("cpu", status.machine.cpu_percent);
  before = { time: status.time, made };
  drawCharts();
  drawEngines(status);
  drawMachine(status);
  drawSwitcher(status.switcher);
  return status;
}

function note(name, value) {
  history[name].push(value);
  if (history[name].length > KEPT) history[name].shift();
}

function drawCharts() {
  for (const [name, , shown] of CHARTS) {
    const points = history[name];
    const figure = document.querySelector(`[data-chart="${name}"]`);
    const top = Math.max(...points, ["cache", "hits"].includes(name) ? 1 : name === "cpu" ? 100 : 1e-9) * 1.05;
    const left = KEPT - points.length;
    figure.querySelector("polyline").setAttribute("points", points.map((value, at) => `${left + at},${(100 - (95 * value) / top).toFixed(2)}`).join(" "));
    figure.querySelector("b").textContent = shown(points.at(-1));
  }
}

const cells = (values) => make("tr", {}, ...values.map((value) => make("td", {}, value)));
const none = (text, columns) => make("tr", {}, make("td", { colspan: columns }, text));

function drawEngines(status) {
  const rows = Object.entries(status.models).map(([name, model]) => {
    const engine = model.engine;
    if (!engine) return cells([name, model.state, "", "", "", "", "", ""]);
    return cells([
      name, number(engine.running), number(engine.waiting), number(engine.finished), number(engine.tokens_per_second, 1),
      seconds(engine.first_token_p50), percent(engine.prefix_hit_rate), `${number(engine.cells_used)} of ${number(engine.cells)}`,
    ]);
  });
  refill($("engine-rows"), rows.length ? rows : [none("None. A model is loaded by its first request.", 8)]);
}

function drawMachine({ machine, uptime_seconds: uptime, requests_running: running }) {
  const facts = [
    ["Processor", `${number(machine.cpu_percent)} % of ${machine.cpu_count} cores`],
    ["Memory", `${bytes(machine.memory_used)} of ${bytes(machine.memory_total)}`],
    ["Server memory", bytes(machine.process_memory)],
    ...machine.gpus.map((gpu) => [gpu.name, `${number(gpu.percent)} %, ${bytes(gpu.memory_used)} of ${bytes(gpu.memory_total)}`]),
    ["Requests in progress", number(running)],
    ["Uptime", `${number(uptime / 60, 1)} minutes`],
  ];
  refill($("machine"), facts.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]));
}

function drawSwitcher(switcher) {
  const spent = Object.values(switcher.routes).at(0)?.remote;
  const facts = [
    ["Fallbacks", switcher.fallbacks.join(", ") || "none configured (switcher.fallbacks)"],
    ["Policy", switcher.policy],
    ["Remote models allowed (allow_cloud)", switcher.allow_cloud],
    ["Remote tokens", spent ? `${number(spent.tokens_today)} today, ${number(spent.tokens_total)} in total` : "none yet"],
  ];
  refill($("rules"), facts.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]));
  const rows = Object.entries(switcher.targets).flatMap(([route, targets]) => targets.map((target) => {
    const stats = switcher.routes[route].targets[target.id] ?? {};
    const failures = Object.entries(stats.failures ?? {}).map(([kind, count]) => `${kind} ${count}×`).join(", ");
    const where = target.remote ? (target.blocked ? "remote, blocked" : "remote") : "local";
    const breaker = stats.retry_in ? `${target.breaker}, ${seconds(stats.retry_in)} left` : target.breaker;
    const name = Object.keys(switcher.targets).length > 1 && route !== target.id ? `${target.id} (in ${route})` : target.id;
    return cells([name, where, breaker, number(stats.calls ?? 0), failures || "–", number(stats.fallbacks ?? 0), seconds(stats.latency_p50), number(stats.cost ?? 0, 4)]);
  }));
  refill($("target-rows"), rows.length ? rows : [none("No calls yet.", 8)]);
  refill($("recent"), switcher.recent.length
    ? switcher.recent.map((item) => make("li", {}, `${new Date(item.time * 1000).toLocaleTimeString()} · ${item.target}: ${item.error ?? "answered"} (${item.reason})`))
    : [make("li", {}, "None.")]);
}
