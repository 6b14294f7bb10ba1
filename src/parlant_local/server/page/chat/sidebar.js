// The list of conversations: search, pin, rename, delete, files.

import { $, confirmed, download, make, refill, tell } from "../core/dom.js";
import { language, t } from "../core/words.js";
import { runningIn, stop } from "./answering.js";
import * as library from "./library.js";
import * as thread from "./thread.js";
import { asJson, asMarkdown, read } from "./transfer.js";

export function start() {
  $("new-chat").addEventListener("click", begin);
  $("search").addEventListener("input", draw);
  $("export-all").addEventListener("click", () => {
    if (library.list().length) download("conversations.json", asJson(library.list()), "application/json");
    else tell(t("There are no conversations yet."));
  });
  $("import").addEventListener("click", () => $("import-file").click());
  $("import-file").addEventListener("change", take);
}

export function begin() {
  thread.startNew();
  location.hash = "#/chat";
  draw();
  $("message").focus();
}

async function take() {
  const [file] = $("import-file").files;
  $("import-file").value = "";
  if (!file) return;
  try {
    const found = await read(file);
    for (const conversation of found) await library.keep(conversation);
    tell(t("{count} conversations were read.", { count: found.length }));
  } catch (error) {
    tell(error.message);
  }
}

export function draw() {
  const found = library.list($("search").value);
  const groups = Map.groupBy(found, groupOf);
  const parts = [...groups].flatMap(([name, items]) => [make("h2", {}, name), make("ul", {}, ...items.map(row))]);
  refill($("conversations"), parts.length ? parts : [make("p", { class: "quiet" }, $("search").value ? t("Nothing found.") : t("Your conversations appear here. They stay in this browser."))]);
  $("keeping").textContent = library.problem ? t("This browser keeps no conversations: {reason}", { reason: library.problem.message }) : "";
}

function groupOf(conversation) {
  if (conversation.pinned) return t("Pinned");
  const days = Math.floor((new Date().setHours(0, 0, 0, 0) - conversation.updated) / 86_400_000) + 1;
  if (days <= 0) return t("Today");
  if (days === 1) return t("Yesterday");
  if (days < 8) return t("This week");
  return new Date(conversation.updated).toLocaleDateString(language, { month: "long", year: "numeric" });
}

function row(conversation) {
  const current = conversation === thread.shown();
  const title = conversation.title || t("Conversation");
  return make(
    "li", { class: runningIn(conversation) ? "running" : null },
    make("a", { href: `#/chat/${conversation.id}`, "aria-current": current ? "true" : null, "data-focus": conversation.id, title }, title),
    make("button", { type: "button", class: "icon-button menu", "aria-label": t("Actions for {title}", { title }), "aria-haspopup": "menu", "data-menu": conversation.id, "data-focus": `menu ${conversation.id}` }, "⋯"),
  );
}

/** One menu for all rows, opened by a click on a row's button. */
export function startMenu() {
  const menu = $("row-menu");
  $("conversations").addEventListener("click", (event) => {
    const button = event.target.closest("[data-menu]");
    if (!button) return;
    const conversation = library.get(button.dataset.menu);
    if (conversation) openMenu(menu, button, conversation);
  });
  menu.addEventListener("keydown", (event) => {
    const items = [...menu.children];
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) { event.preventDefault(); items[(items.indexOf(document.activeElement) + step + items.length) % items.length].focus(); }
  });
}

function openMenu(menu, button, conversation) {
  const item = (label, work, danger) => make("button", { type: "button", role: "menuitem", class: danger ? "danger" : null, onclick: () => { menu.hidePopover(); work(); } }, label);
  const name = conversation.title.replace(/[^\p{L}\p{N} _-]/gu, "").trim().slice(0, 50) || "conversation";
  menu.replaceChildren(
    item(conversation.pinned ? t("Unpin") : t("Pin"), () => { conversation.pinned = !conversation.pinned; library.keep(conversation); }),
    item(t("Rename"), () => thread.rename(conversation)),
    item(t("Save as Markdown"), () => download(`${name}.md`, asMarkdown(conversation), "text/markdown")),
    item(t("Save as JSON"), () => download(`${name}.json`, asJson([conversation]), "application/json")),
    item(t("Delete"), () => remove(conversation), true),
  );
  menu.showPopover();
  const place = button.getBoundingClientRect();
  menu.style.top = `${Math.min(place.bottom, innerHeight - menu.offsetHeight - 8)}px`;
  menu.style.left = `${Math.min(place.left, innerWidth - menu.offsetWidth - 8)}px`;
  menu.firstChild.focus();
}

async function remove(conversation) {
  const title = conversation.title || t("Conversation");
  if (!(await confirmed(t("Delete the conversation “{title}”?", { title }), { yes: t("Delete"), danger: true }))) return;
  const message = runningIn(conversation);
  if (message) stop(message);
  const current = conversation === thread.shown();
  await library.forget(conversation);
  if (current) begin();
}
