// One message as it is drawn: what it says, what it waits for, what came of it.

import { icon, iconButton, make } from "../core/dom.js";
import { number, percent, seconds, t } from "../core/words.js";
import { Growing } from "../markdown/growing.js";
import { drawn } from "./attachments.js";
import { callForms } from "./calls.js";

const LONGEST_MARKDOWN = 200_000;  // longer answers are shown as plain text
const DRAWING_SHARE = 0.25;  // of the page's time, while an answer streams

export class Turn {
  #drawing = 0;
  #rested = 0;  // when it may be drawn again
  #calls = "";

  /** `actions` has what the buttons do; `changed` is called after it was drawn. */
  constructor(message, actions, changed) {
    this.message = message;
    this.actions = actions;
    this.changed = changed;
    this.state = make("p", { class: "state", hidden: true });
    this.thoughts = make("details", { class: "thoughts", hidden: true }, make("summary", {}), make("div", {}));
    this.body = make("div", { class: "body" });
    this.calls = make("div", { class: "calls" });
    this.foot = make("div", { class: "foot" });
    this.node = make(
      "article", { class: `turn ${message.role}`, "data-message": message.id },
      make("span", { class: "hidden" }, speaker(message)), this.thoughts, this.body, this.calls, this.state, this.foot,
    );
    this.contentView = new Growing(this.body);
    this.thoughtView = new Growing(this.thoughts.lastChild);
    this.draw();
  }

  /** Draws what has changed, not more often than the page can bear. */
  update() {
    if (this.message.state !== "running") {
      clearTimeout(this.#drawing);
      this.#drawing = 0;
      this.draw();
      return;
    }
    const wait = Math.max(0, this.#rested - performance.now());
    this.#drawing ||= setTimeout(() => requestAnimationFrame(() => { this.#drawing = 0; if (this.message.state === "running") this.draw(); }), wait);
  }

  /** What others' changes do to it: which branches there are, whether its calls were answered. */
  refresh() {
    if (this.message.state === "running") return;
    this.#drawCalls(true);
    this.#drawFoot(true);
  }

  draw() {
    const { message } = this;
    const began = performance.now();
    const whole = message.state !== "running";
    if (message.role === "assistant") {
      write(this.contentView, message.content, whole);
      this.#drawThoughts(whole);
    } else {
      this.body.textContent = message.content;
      if (message.media?.length) this.body.prepend(make("div", { class: "media" }, ...drawn(message.media)));
    }
    this.#drawCalls(whole);
    this.#drawState();
    this.#drawFoot(whole);
    this.node.classList.toggle("running", !whole);
    this.node.setAttribute("aria-busy", String(!whole));
    this.changed?.();
    const now = performance.now();
    this.#rested = now + (now - began) * (1 / DRAWING_SHARE - 1);
  }

  #drawThoughts(whole) {
    const { message } = this;
    this.thoughts.hidden = !message.reasoning;
    if (!message.reasoning) return;
    const spent = message.thinkingSince ? (Date.now() - message.thinkingSince) / 1000 : message.thought;
    const text = message.thinkingSince && !whole ? t("Thinking … {time}", { time: seconds(spent) }) : t("Thought for {time}", { time: seconds(spent) });
    this.thoughts.firstChild.textContent = text;
    write(this.thoughtView, message.reasoning, whole);
  }

  #drawCalls(whole) {
    const written = JSON.stringify([this.message.calls, whole, this.message.answered]);
    if (written === this.#calls) return;
    this.#calls = written;
    this.calls.replaceChildren(...callForms(this.message, whole ? this.actions.answerCalls : null));
  }

  #drawState() {
    const { message } = this;
    const parts = stateOf(message);
    this.state.hidden = !parts;
    this.state.className = `state ${message.state}`;
    if (message.state === "failed") this.state.setAttribute("role", "alert");
    else this.state.removeAttribute("role");
    if (!parts) { this.state.replaceChildren(); return; }
    const bar = parts.share == null ? null : make("progress", { max: "1", value: parts.share, "aria-label": parts.text });
    const words = make("span", {}, parts.text);
    const offered = { failed: ["Retry", "again"], stopped: ["Continue", "forward"], cut: ["Continue", "forward"] }[message.state];
    const does = message.state === "failed" && !message.content ? "regenerate" : "resume";
    const button = offered && this.actions[does] && !(message.state === "cut" && message.figures?.full)
      ? make("button", { type: "button", class: "small", "data-action": does, onclick: () => this.actions[does](message) }, icon(offered[1]), t(offered[0])) : null;
    if (this.state.dataset.text === parts.text && !button) {
      if (bar) this.state.querySelector("progress")?.setAttribute("value", String(parts.share));
      return;
    }
    this.state.dataset.text = parts.text;
    this.state.replaceChildren(...[words, bar, button].filter(Boolean));
  }

  #drawFoot(whole) {
    if (!whole) {
      this.foot.replaceChildren(make("span", { class: "figures" }, figures(this.message)));
      return;
    }
    const { message, actions } = this;
    const does = (name, symbol, label) => actions[name] && iconButton(symbol, label, () => actions[name](message), { "data-action": name });
    this.foot.replaceChildren(...[
      ...branches(message, actions),
      message.content ? does("copy", "copy", t("Copy message")) : null,
      message.role === "user" ? does("edit", "edit", t("Edit and ask again")) : null,
      message.role === "assistant" && message.content && !message.calls?.length ? does("edit", "edit", t("Edit this answer")) : null,
      message.role === "assistant" ? does("regenerate", "again", t("Answer again")) : null,
      message.role === "assistant" && message.content && message.state === "done" ? does("resume", "forward", t("Continue this answer")) : null,
      does("remove", "bin", t("Delete message and what follows")),
      make("span", { class: "figures" }, figures(message)),
    ].filter(Boolean));
  }
}

function branches(message, actions) {
  const all = actions.siblings(message);
  if (all.length < 2) return [];
  const at = all.indexOf(message);
  const step = (by, symbol, label) => iconButton(symbol, label, () => actions.choose(all[at + by]), { disabled: !all[at + by] });
  return [step(-1, "left", t("Earlier version")), make("span", { class: "branch" }, `${at + 1}/${all.length}`), step(1, "right", t("Later version"))];
}

const speaker = (message) => ({ user: t("You:"), assistant: t("Model:"), tool: t("Result of a tool:") })[message.role];

/** What a message's state is in words, with the share of what is done where it is known. */
function stateOf(message) {
  if (message.state === "failed") return { text: message.error };
  if (message.state === "stopped") return { text: t("Stopped.") };
  if (message.state === "cut") return { text: message.figures?.full ? t("Cut off: the model's context is full. Delete something above, or start a new conversation.") : t("Cut off at the longest answer that the settings allow.") };
  if (message.state !== "running") return null;
  if (message.content || message.thinkingSince || message.calls?.length) return null;
  const now = message.progress;
  switch (now?.phase) {
    case "memory": return { text: t("Waiting for memory: other models are in use …") };
    case "loading": return { text: t("Loading the model … {share}", { share: percent(now.share) }), share: now.share };
    case "waiting": return { text: now.ahead ? t("In the queue, {count} before you …", { count: number(now.ahead) }) : t("In the queue, next …") };
    case "reading": return { text: t("Reading the conversation … {share}", { share: percent(now.share) }), share: now.share };
    default: return { text: t("Waiting for the model …") };
  }
}

function figures({ figures: told, model, role, state }) {
  if (role !== "assistant" || !told?.tokens) return "";
  return [
    state === "running" ? "" : model?.split("/").at(-1),
    t("{count} tokens", { count: number(told.tokens) }),
    told.rate == null ? "" : t("{rate} tokens/s", { rate: number(told.rate, 1) }),
    told.first == null ? "" : t("first after {time}", { time: seconds(told.first) }),
    told.prompt == null ? "" : t("{prompt} read, {reused} of them reused", { prompt: number(told.prompt), reused: number(told.reused) }),
  ].filter(Boolean).join(" · ");
}

function write(growing, text, whole) {
  if (text.length > LONGEST_MARKDOWN) growing.box.replaceChildren(make("pre", {}, text));
  else if (whole) growing.finish(text);
  else growing.update(text);
}
