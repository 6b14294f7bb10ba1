// The page: sections, health, light and dark.

import { askJson } from "./api.js";
import * as chat from "./chat.js";
import { $ } from "./dom.js";
import * as models from "./models.js";
import * as status from "./status.js";

const TABS = ["chat", "models", "status", "switcher"];
const EVERY_MS = 1000;

function show(name, focus = false) {
  for (const tab of TABS) {
    const chosen = tab === name;
    $(`tab-${tab}`).setAttribute("aria-selected", String(chosen));
    $(`tab-${tab}`).tabIndex = chosen ? 0 : -1;
    $(tab).hidden = !chosen;
  }
  if (focus) $(`tab-${name}`).focus();
  history.replaceState(null, "", `#${name}`);
  if (name === "models") models.refresh().catch(silent);
}

function startTabs() {
  for (const name of TABS) {
    $(`tab-${name}`).addEventListener("click", () => show(name));
    $(`tab-${name}`).addEventListener("keydown", (event) => {
      const open = TABS.filter((tab) => !$(`tab-${tab}`).hidden);
      const at = open.indexOf(name);
      const step = { ArrowRight: 1, ArrowLeft: -1, Home: -at, End: open.length - 1 - at }[event.key];
      if (step === undefined) return;
      event.preventDefault();
      show(open[(at + step + open.length) % open.length], true);
    });
  }
  const requested = location.hash.slice(1);
  show(TABS.includes(requested) ? requested : "chat");
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
}

/** A key that may not administer only gets the chat. */
function onlyChat() {
  for (const tab of TABS.slice(1)) $(`tab-${tab}`).hidden = true;
  show("chat");
}

/** Polls the status while the page is visible. */
async function poll() {
  let measure = status.refresh;
  for (;;) {
    if (!document.hidden) {
      try {
        const now = await measure();
        $("health").textContent = now.status === "ok" ? "ready" : now.status;
        $("version").textContent = `parlant-local ${now.version}`;
      } catch (error) {
        if (error.status === 403) {
          onlyChat();
          measure = () => askJson("api/health");
          continue;
        }
        $("health").textContent = error.status ? error.message : "the server is not responding";
      }
    }
    await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
  }
}

/** For errors that the health line already reports. */
function silent() {}

startTheme();
status.start();
startTabs();
models.start();
poll();
await chat.start().catch((error) => { $("speed").textContent = error.message; });
// For tests: everything is initialised.
document.documentElement.dataset.ready = "true";
