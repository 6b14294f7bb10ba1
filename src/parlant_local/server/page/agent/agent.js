// What Parlant agents of this machine ask their models: turns as they happen, and what each kind of call costs.

import { askJson } from "../core/api.js";
import { $, make, refill } from "../core/dom.js";
import { clock, number, percent, seconds, t } from "../core/words.js";
import { summary, turnsOf } from "./turns.js";

const SHOWN = 20;  // turns

export function start() {
  $("agent-choice").addEventListener("change", () => refresh());
}

export async function refresh() {
  const { agents } = await askJson("api/agents");
  $("agent-none").hidden = agents.length > 0;
  $("agent-some").hidden = !agents.length;
  if (!agents.length) return;
  drawChoice(agents);
  const agent = agents.find((item) => item.name === $("agent-choice").value) ?? agents[0];
  drawKinds(agent.calls);
  const turns = turnsOf(agent.calls).slice(-SHOWN).reverse();
  refill($("turns"), turns.map(turn));
}

const label = (agent) => (agent.name === "server" ? t("Agents that ask this server") : agent.running ? t("Agent, process {pid}", { pid: agent.name }) : t("Agent, process {pid} (ended)", { pid: agent.name }));

function drawChoice(agents) {
  const select = $("agent-choice");
  const chosen = select.value;
  const labels = agents.map(label);
  if (labels.join("\n") === [...select.options].map((option) => option.textContent).join("\n")) return;
  select.replaceChildren(...agents.map((agent, at) => make("option", { value: agent.name, selected: agent.name === chosen }, labels[at])));
}

function drawKinds(calls) {
  const rows = summary(calls).map(({ schema, count, seconds: spent, prompt, cached, forced, sampled, retries, failed }) => {
    const cells = [
      [t("Kind of call"), words(schema)], [t("Calls"), number(count)], [t("Typical time"), seconds(spent / count)],
      [t("Prompt reused"), prompt ? percent(cached / prompt) : "–"], [t("Forced by the schema"), number(forced)], [t("Chosen by the model"), number(sampled)],
      [t("Retries"), number(retries)], [t("Failed"), number(failed)],
    ];
    return make("tr", {}, ...cells.map(([name, value]) => make("td", { "data-label": name }, value)));
  });
  refill($("kind-rows"), rows);
}

/** A schema's class name as words: GuidelineMatchesSchema is "guideline matches". */
const words = (schema) => schema.replace(/Schema$/, "").replace(/(?<=[a-z])(?=[A-Z])/g, " ").toLowerCase() || schema;

function turn({ session, began, ended, calls }) {
  const total = (field) => calls.reduce((sum, call) => sum + call[field], 0);
  const retries = total("retries");
  const facts = [
    t("{count} calls", { count: number(calls.length) }), seconds(ended - began),
    total("prompt_tokens") ? t("{share} of the prompts reused", { share: percent(total("cached_tokens") / total("prompt_tokens")) }) : "",
    t("{forced} tokens forced, {sampled} chosen", { forced: number(total("forced_tokens")), sampled: number(total("sampled_tokens")) }),
    retries ? t("{count} retries", { count: number(retries) }) : "",
  ];
  const span = Math.max(0.001, ended - began);
  const bars = calls.map((call) => {
    const bar = make("div", { class: `bar ${call.outcome}` });
    bar.style.marginLeft = `${(100 * Math.max(0, call.time - call.seconds - began)) / span}%`;
    bar.style.width = `${Math.max(0.5, (100 * call.seconds) / span)}%`;
    return make(
      "li", {},
      make("span", { class: "call-kind" }, words(call.schema)), make("div", { class: "lane", "aria-hidden": "true" }, bar),
      make("span", { class: "call-facts" }, [seconds(call.seconds), t("{read} read, {reused} reused, {written} written", { read: number(call.prompt_tokens), reused: number(call.cached_tokens), written: number(call.completion_tokens) }), call.retries ? t("{count} retries", { count: call.retries }) : ""].filter(Boolean).join(" · ")),
      call.error ? make("p", { class: "failed" }, call.error) : null,
    );
  });
  return make(
    "article", { class: "card turn-card" },
    make("div", { class: "row" }, make("strong", {}, clock(began)), session ? make("span", { class: "badge", title: session }, t("session {name}", { name: session.slice(0, 8) })) : null),
    make("p", { class: "quiet" }, facts.filter(Boolean).join(" · ")),
    make("ol", { class: "lanes" }, ...bars),
  );
}
