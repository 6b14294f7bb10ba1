// Where a person writes. The focus is theirs: nothing here moves it while they type.

import { $, icon, tell } from "../core/dom.js";
import { number, t } from "../core/words.js";
import * as attachments from "./attachments.js";
import { chosenCard } from "./picker.js";
import * as thread from "./thread.js";
import { path } from "./tree.js";

const DRAFT = "parlant-local-draft";
let owner = null;  // whose draft is in the field

export function start() {
  const field = $("message");
  $("send").append(icon("send"));
  $("stop").append(icon("stop"));
  attachments.start();
  $("ask").addEventListener("submit", (event) => { event.preventDefault(); send(); });
  field.addEventListener("input", () => { fit(); keepDraft(); });
  field.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); send(); }
    if (event.key === "ArrowUp" && !field.value && !thread.answeringNow()) {
      const last = thread.lastQuestion();
      if (last) { event.preventDefault(); thread.edit(last); }
    }
  });
  // A click on it leaves the focus in the field, where the next question is being written.
  $("stop").addEventListener("mousedown", (event) => event.preventDefault());
  $("stop").addEventListener("click", () => thread.stopShown());
}

function send() {
  const field = $("message");
  const text = field.value.trim();
  if (!text) return;
  if (thread.answeringNow()) {
    tell(t("An answer is being written; stop it first."));
    return;
  }
  field.value = "";
  keepDraft();
  thread.send(text, attachments.taken());
  attachments.clear();
  fit();
}

/** What was being written stays with its conversation, in this tab; all that nothing was asked in yet have one. */
export function followDraft() {
  const now = `${DRAFT} ${path(thread.shown()).length ? thread.shown().id : "new"}`;
  if (now === owner) return;
  owner = now;
  attachments.clear();
  $("message").value = sessionStorage.getItem(now) ?? "";
  fit();
}

function keepDraft() {
  const text = $("message").value;
  if (!text) sessionStorage.removeItem(owner);
  else try { sessionStorage.setItem(owner, text); } catch { /* too long for the browser to keep: it stays in the field */ }
}

function fit() {
  const field = $("message");
  field.style.height = "auto";
  field.style.height = `${Math.min(field.scrollHeight + 2, innerHeight * 0.4)}px`;
}

/** How much of the model's context the conversation takes, once it is known. */
export function drawContext() {
  const told = path(thread.shown()).findLast((message) => message.figures?.prompt != null)?.figures;
  const room = chosenCard()?.meta?.n_ctx;
  const used = told && told.prompt + told.tokens;
  $("gauge").hidden = !(used && room);
  $("gauge").max = room || 1;
  $("gauge").high = 0.8 * (room || 1);
  $("gauge").value = used || 0;
  $("context").textContent = used && room ? t("{used} of {all} tokens of context used.", { used: number(used), all: number(room) }) : "";
  $("context").classList.toggle("failed", Boolean(used && room && used > 0.8 * room));
}

/** Whether an answer is being written decides which button there is. */
export function drawButtons() {
  const busy = thread.answeringNow();
  const focused = document.activeElement === (busy ? $("send") : $("stop"));
  $("send").hidden = busy;
  $("stop").hidden = !busy;
  if (focused) $("message").focus();  // the button that had it is gone
}
