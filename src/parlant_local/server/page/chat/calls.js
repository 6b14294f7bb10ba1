// Calls that a model makes: shown, and answered by hand.

import { make } from "../core/dom.js";
import { t } from "../core/words.js";

/** The calls of a message; with `submit`, fields for their results, which it gets by the call's id. */
export function callForms(message, submit) {
  const calls = (message.calls ?? []).filter(Boolean);
  if (!calls.length) return [];
  const shown = calls.map((call) => make(
    "div", { class: "call" },
    make("div", { class: "call-name" }, t("Calls {name}", { name: call.name })),
    make("pre", { tabindex: "0", role: "region", "aria-label": t("Arguments of {name}", { name: call.name }) }, make("code", {}, indented(call.arguments))),
  ));
  if (!submit || message.state !== "calls" || message.answered) return shown;
  const fields = calls.map((call) => make("textarea", { rows: "2", "aria-label": t("Result of {name}", { name: call.name }), placeholder: t("What does {name} return?", { name: call.name }) }));
  shown.forEach((node, at) => node.append(fields[at]));
  const form = make("form", { class: "results", onsubmit: (event) => {
    event.preventDefault();
    submit(message, calls.map((call, at) => [call.id, fields[at].value]));
  } }, ...shown, make("button", { type: "submit", class: "small" }, t("Send results")));
  return [form];
}

function indented(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;  // not complete yet, or not JSON
  }
}
