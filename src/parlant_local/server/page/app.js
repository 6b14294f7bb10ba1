// The page: sections, health, light and dark.

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
  for (const [at, name] of TABS.entries()) {
    $(`tab-${name}`).addEventListener("click", () => show(name));
    $(`tab-${name}`).addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1, Home: -at, End: TABS.length - 1 - at }[event.key];
      if (step === undefined) return;
      event.preventDefault();
      show(TABS[(at + step + TABS.length) % TABS.length], true);
    });
  }
  const asked = location.hash.slice(1);
  show(TABS.includes(asked) ? asked : "chat");
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

/** The heartbeat: measured while somebody looks. */
async function beat() {
  for (;;) {
    if (!document.hidden) {
      try {
        const now = await status.refresh();
        $("health").textContent = now.status === "ok" ? "ready" : now.status;
        $("version").textContent = `parlant-local ${now.version}`;
      } catch (error) {
        $("health").textContent = error.status ? error.message : "the server does not answer";
      }
    }
    await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
  }
}

/** For refreshes that the heartbeat's own message covers. */
function silent() {}

startTheme();
status.start();
startTabs();
models.start();
beat();
await chat.start().catch((error) => { $("speed").textContent = error.message; });
// For tests, and for whoever waits: everything is wired.
document.documentElement.dataset.ready = "true";
