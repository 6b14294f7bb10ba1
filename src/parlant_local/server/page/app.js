// The page: its sections, the drawer, health, light and dark.

import * as agent from "./agent/agent.js";
import * as composer from "./chat/composer.js";
import * as library from "./chat/library.js";
import * as picker from "./chat/picker.js";
import * as settings from "./chat/settings.js";
import * as sidebar from "./chat/sidebar.js";
import * as thread from "./chat/thread.js";
import { askJson } from "./core/api.js";
import { $, icon, tell } from "./core/dom.js";
import * as keys from "./core/keys.js";
import { language, setLanguage, t, translatePage } from "./core/words.js";
import * as models from "./models/models.js";
import * as pictures from "./pictures/pictures.js";
import * as status from "./status/status.js";

$("prompt-no").addEventListener("click", () => $("prompt").close("no"));

const SECTIONS = ["chat", "pictures", "models", "status", "agent"];
const OPEN = ["chat", "pictures"];  // to keys that may not administer
const EVERY_MS = 1000;
let section = "chat";
let administers = true;

/** Shows what the address names: a section, or a conversation. */
function route() {
  const [name, id] = location.hash.replace(/^#\/?/, "").split("/");  // not a section's id, to which a browser would scroll
  section = SECTIONS.includes(name) && (administers || OPEN.includes(name)) ? name : "chat";
  for (const item of SECTIONS) {
    $(item).hidden = item !== section;
    $(`go-${item}`).toggleAttribute("aria-current", item === section);
    if (item === section) $(`go-${item}`).setAttribute("aria-current", "page");
  }
  document.body.dataset.section = section;
  const conversation = id && library.get(id);
  if (conversation && conversation !== thread.shown()) {
    thread.show(conversation);
    picker.choose(conversation.model);
  }
  closeDrawer();
  sidebar.draw();
  drawTitle();
  pictures.follow(section === "pictures");
  if (section === "models") models.refresh().catch(silent);
  if (section === "agent") agent.refresh().catch(silent);
}

const TITLES = { pictures: "Pictures", models: "Models", status: "Status", agent: "Agent" };

/** What the tab is called: the conversation, or the section. */
function drawTitle() {
  const name = section === "chat" ? thread.shown().title : t(TITLES[section]);
  document.title = name ? `${name} – parlant-local` : "parlant-local";
}

function startDrawer() {
  $("menu").append(icon("menu"));
  $("menu").addEventListener("click", () => ($("side").classList.contains("open") ? closeDrawer() : openDrawer()));
  $("veil").addEventListener("click", closeDrawer);
  $("side").addEventListener("click", (event) => { if (event.target.closest("a")) closeDrawer(); });
  $("side").addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !$("side").classList.contains("open") || document.querySelector(":popover-open")) return;
    event.stopPropagation();
    closeDrawer();
    $("menu").focus();
  });
}

function openDrawer() {
  $("side").classList.add("open");
  $("veil").hidden = false;
  $("menu").setAttribute("aria-expanded", "true");
  $("new-chat").focus();
}

function closeDrawer() {
  $("side").classList.remove("open");
  $("veil").hidden = true;
  $("menu").setAttribute("aria-expanded", "false");
}

function startTheme() {
  const kept = localStorage.getItem("parlant-local-theme");
  if (kept) document.documentElement.dataset.theme = kept;
  $("theme").addEventListener("click", () => {
    const dark = document.documentElement.dataset.theme
      ? document.documentElement.dataset.theme === "dark"
      : matchMedia("(prefers-color-scheme: dark)").matches;
    document.documentElement.dataset.theme = dark ? "light" : "dark";
    localStorage.setItem("parlant-local-theme", document.documentElement.dataset.theme);
  });
  $("language").addEventListener("click", () => setLanguage(language === "pt" ? "en" : "pt"));
}

function startKeys() {
  keys.start([
    [["Enter"], t("Send")],
    [["Shift", "Enter"], t("New line")],
    [["↑"], t("Edit your last message, where the field is empty")],
    [["Esc"], t("Stop the answer"), (event) => event.key === "Escape" && section === "chat", () => thread.stopShown()],
    [["Ctrl", "Shift", "O"], t("New conversation"), (event, control) => control && event.shiftKey && event.key.toLowerCase() === "o", () => sidebar.begin()],
    [["Ctrl", "K"], t("Search conversations"), (event, control) => control && !event.shiftKey && event.key.toLowerCase() === "k", search],
    [["Ctrl", ","], t("Settings"), (event, control) => control && event.key === ",", () => $("options-open").click()],
    [["Ctrl", "/"], t("This list"), (event, control) => control && event.key === "/", () => $("shortcuts").showModal()],
  ]);
}

function search() {
  if (getComputedStyle($("menu")).display !== "none") openDrawer();
  $("search").focus();
}

/** A key that may not administer only gets what uses models. */
function onlyOpen() {
  administers = false;
  for (const name of SECTIONS) $(`go-${name}`).hidden = !OPEN.includes(name);
  route();
}

const HEALTH = { ok: "ready", degraded: "ready, but not all of it", loading: "loading …", failed: "a model can't be loaded", "shutting down": "shutting down" };

/** Polls the status while the page is visible. */
async function poll() {
  let measure = () => status.refresh({ visible: section === "status" });
  for (;;) {
    if (!document.hidden) {
      try {
        const now = await measure();
        health(t(HEALTH[now.status] ?? now.status), now.status === "ok");
        $("version").textContent = `parlant-local ${now.version}`;
        if (section === "agent") await agent.refresh();
      } catch (error) {
        if (error.status === 403) {
          onlyOpen();
          measure = () => askJson("api/health");
          continue;
        }
        health(error.status ? error.message : t("the server is not responding"), false);
      }
    }
    await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
  }
}

function health(text, good) {
  if ($("health").textContent !== text) $("health").textContent = text;
  $("health").className = good ? "good" : "bad";
}

/** For errors that the health line already reports. */
function silent() {}

function chatWith(name) {
  picker.choose(name);
  sidebar.begin();
}

/** What follows from another model: its settings, and what the first screen says of it. */
function modelChanged() {
  settings.follow();
  thread.refreshWelcome();
  composer.drawContext();
}

/** What runs, or what is shown, has changed. */
function threadChanged() {
  composer.followDraft();
  composer.drawButtons();
  composer.drawContext();
  sidebar.draw();
  drawTitle();
}

/** Symbols of the side, which are the same in every language. */
function startIcons() {
  for (const node of document.querySelectorAll("[data-icon]")) node.prepend(icon(node.dataset.icon));
}

translatePage();
startTheme();
startDrawer();
startKeys();
status.start();
pictures.start();
agent.start();
startIcons();
thread.start(picker.chosenModel, threadChanged);
composer.start();
sidebar.start();
sidebar.startMenu();
picker.start(modelChanged);
settings.start();
models.start(() => picker.refresh().then(modelChanged), chatWith);
addEventListener("hashchange", route);
await library.open(sidebar.draw, (old, fresh) => { if (old === thread.shown()) thread.show(fresh); });
thread.startNew();
route();
poll();
await picker.refresh().then(modelChanged).catch((error) => tell(error.message));
if (matchMedia("(min-width: 52rem)").matches && document.activeElement === document.body) $("message").focus();
// For tests: everything is initialised.
document.documentElement.dataset.ready = "true";
