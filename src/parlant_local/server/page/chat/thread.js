// The conversation that is shown: its messages, and what their buttons do.

import { $, asked, confirmed, copy, icon, make, tell } from "../core/dom.js";
import { t } from "../core/words.js";
import { answer, isRunning, runningIn, stop } from "./answering.js";
import * as library from "./library.js";
import { add, choose, cut, newConversation, path, siblings } from "./tree.js";
import { Turn } from "./turn.js";
import { drawWelcome, welcomeKey } from "./welcome.js";

let conversation = newConversation();
let turns = new Map();  // message id: its Turn
let model = () => "";
let onChange = () => {};

export const shown = () => conversation;

/** `chosenModel` tells the model for new answers; `changed` is called when what runs, or what is shown, has changed. */
export function start(chosenModel, changed) {
  model = chosenModel;
  onChange = changed;
  $("log").addEventListener("scroll", () => { following = nearEnd(); $("to-end").hidden = following; }, { passive: true });
  $("to-end").append(icon("down"));
  $("to-end").addEventListener("click", () => { following = true; follow(); });
}

export function show(other) {
  conversation = other;
  turns = new Map();
  following = true;
  draw();
}

export const startNew = () => show(newConversation());

/** The first screen, where the model that it tells of has changed. */
export function refreshWelcome() {
  const drawn = $("log").querySelector(".welcome");
  if (drawn && drawn.dataset.of !== welcomeKey()) draw();
}

/** Sends a question; nothing is carried over but this conversation's own branch. */
export function send(text, media = []) {
  if (runningIn(conversation)) return false;
  const last = path(conversation).at(-1);
  add(conversation, last?.id ?? null, { role: "user", content: text, ...(media.length ? { media } : {}) });
  following = true;
  return respond(conversation);
}

export function stopShown() {
  const message = runningIn(conversation);
  if (message) stop(message);
  return Boolean(message);
}

export const answeringNow = () => Boolean(runningIn(conversation));

/** The last question, for the up arrow. */
export const lastQuestion = () => path(conversation).findLast((message) => message.role === "user");

function respond(owner, parent = path(owner).at(-1)) {
  const message = add(owner, parent.id, { role: "assistant", content: "", reasoning: "", calls: [] });
  return run(owner, message, before(owner, message));
}

const before = (owner, message) => {
  const all = path(owner);
  return all.slice(0, all.indexOf(message));
};

async function run(owner, message, messages, options) {
  owner.model = model();
  message.state = "running";
  let kept = Date.now();
  let running = null;
  const changed = () => {
    if (owner === conversation) drawMessage(message);
    if (Date.now() - kept > 2000) { kept = Date.now(); library.keep(owner); }  // what has come survives a reload
    if (running !== isRunning(message)) { running = isRunning(message); onChange(); }
  };
  const answered = answer(owner.model, messages, message, changed, options);
  if (owner === conversation) draw();
  library.keep(owner);
  await answered;
  owner.updated = Date.now();
  await library.keep(owner);
  onChange();
}

const actions = {
  siblings: (message) => siblings(conversation, message),
  copy: (message) => copy(message.content).then(() => tell(t("Copied."))),
  choose: (message) => { choose(conversation, message); library.keep(conversation); draw(); },
  regenerate: (message) => idle() && respond(conversation, conversation.messages[message.parent]),
  resume: (message) => idle() && run(conversation, message, before(conversation, message), { continued: Boolean(message.content) }),
  async edit(message) {
    if (!idle()) return;
    const node = turns.get(message.id).node;
    const asks = message.role === "user";
    const field = make("textarea", { class: "editing", rows: String(Math.min(12, message.content.split("\n").length + 1)), "aria-label": asks ? t("Edit your message") : t("Edit this answer") });
    field.value = message.content;
    const done = () => { turns.delete(message.id); draw(); };
    const form = make(
      "form", { class: "edit", onsubmit: (event) => {
        event.preventDefault();
        const text = field.value.trim();
        if (!text || !idle()) return;
        turns.delete(message.id);  // the field has taken its place
        add(conversation, message.parent, asks ? { role: "user", content: text, ...(message.media ? { media: message.media } : {}) } : { ...message, state: "done", content: text, figures: null, error: null });
        $("message").focus();
        if (asks) respond(conversation);
        else { library.keep(conversation); draw(); }
      } },
      field, make("div", { class: "row" }, make("button", { type: "submit" }, asks ? t("Ask again") : t("Keep")), make("button", { type: "button", onclick: done }, t("Cancel"))),
    );
    field.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); form.requestSubmit(); }
      if (event.key === "Escape") { event.stopPropagation(); done(); $("message").focus(); }
    });
    node.replaceChildren(form);
    field.focus();
  },
  async remove(message) {
    if (!idle()) return;
    if (!(await confirmed(t("Delete this message and everything below it?"), { yes: t("Delete"), danger: true }))) return;
    cut(conversation, message);
    library.keep(conversation);
    draw();
  },
  answerCalls(message, results) {
    if (!idle()) return;
    message.answered = true;
    let parent = message;
    for (const [call, content] of results) parent = add(conversation, parent.id, { role: "tool", call, content });
    respond(conversation, parent);
  },
};

export const edit = (message) => actions.edit(message);

function idle() {
  if (!runningIn(conversation)) return true;
  tell(t("An answer is being written; stop it first."));
  return false;
}

export async function rename(other) {
  const title = await asked(t("Name of the conversation"), other.title);
  if (!title) return;
  Object.assign(other, { title, named: true });
  await library.keep(other);
}

/** The messages of the chosen branch; those that are there already stay, and so do selections in them. */
function draw() {
  const messages = path(conversation);
  const nodes = messages.map((message) => {
    const known = turns.get(message.id);
    if (known?.message === message) { known.refresh(); return known.node; }
    const turn = new Turn(message, actions, follow);
    turns.set(message.id, turn);
    return turn.node;
  });
  const log = $("log");
  const height = log.scrollTop;
  log.replaceChildren(...(nodes.length ? nodes : [drawWelcome()]));
  log.scrollTop = nodes.length ? height : 0;
  $("chat").classList.toggle("empty", !nodes.length);
  follow();
  onChange();
}

function drawMessage(message) {
  const turn = turns.get(message.id);
  if (!turn?.node.isConnected) return;
  turn.update();
}

let following = true;
const NEAR = 80;  // pixels

const nearEnd = () => $("log").scrollHeight - $("log").scrollTop - $("log").clientHeight < NEAR;

/** Keeps the end in sight while it is; who has scrolled up stays there. */
function follow() {
  if (following) $("log").scrollTop = path(conversation).length ? $("log").scrollHeight : 0;
  $("to-end").hidden = following || nearEnd();
}
