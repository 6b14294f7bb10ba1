// The switcher's rules and how its targets do.

import { $, make, refill } from "../core/dom.js";
import { clock, number, seconds, t } from "../core/words.js";

const BREAKERS = { closed: "in use", open: "resting after failures", "half-open": "being tried again", half_open: "being tried again" };

export function drawSwitcher(switcher) {
  $("switcher").hidden = !switcher.configured && !Object.keys(switcher.targets).length;
  const spent = Object.values(switcher.routes).at(0)?.remote;
  const facts = [
    [t("Fallbacks"), switcher.fallbacks.join(", ") || t("none (switcher.fallbacks)")],
    [t("Order"), switcher.policy],
    [t("May leave this machine"), `${switcher.allow_cloud} (switcher.allow_cloud)`],
    [t("Tokens sent away"), spent ? t("{today} today, {all} in total", { today: number(spent.tokens_today), all: number(spent.tokens_total) }) : t("none yet")],
  ];
  refill($("rules"), facts.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]));
  const rows = Object.entries(switcher.targets).flatMap(([route, targets]) => targets.map((target) => row(switcher, route, target)));
  refill($("target-rows"), rows.length ? rows : [make("tr", {}, make("td", { colspan: "7" }, t("No calls yet.")))]);
  refill($("recent"), switcher.recent.length
    ? switcher.recent.map((item) => make("li", {}, `${clock(item.time)} · ${item.target}: ${item.error ?? t("answered")} (${item.reason})`))
    : [make("li", {}, t("None."))]);
}

function row(switcher, route, target) {
  const stats = switcher.routes[route].targets[target.id] ?? {};
  const failures = Object.entries(stats.failures ?? {}).map(([kind, count]) => `${kind} ${count}×`).join(", ");
  const where = target.remote ? (target.blocked ? t("elsewhere, not allowed") : t("elsewhere")) : t("here");
  const breaker = t(BREAKERS[target.breaker] ?? target.breaker);
  const name = Object.keys(switcher.targets).length > 1 && route !== target.id ? `${target.id} (${route})` : target.id;
  const cells = [
    [t("Target"), name], [t("Where"), where], [t("State"), stats.retry_in ? `${breaker}, ${t("{time} left", { time: seconds(stats.retry_in) })}` : breaker],
    [t("Calls"), number(stats.calls ?? 0)], [t("Failures"), failures || "–"], [t("Typical time"), seconds(stats.latency_p50)], [t("Cost"), number(stats.cost ?? 0, 4)],
  ];
  return make("tr", {}, ...cells.map(([label, value]) => make("td", { "data-label": label }, value)));
}
