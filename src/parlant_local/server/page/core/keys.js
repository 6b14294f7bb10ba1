// Shortcuts of the keyboard; the list of them is a dialog.

import { $, make } from "./dom.js";
import { t } from "./words.js";

const MAC = navigator.platform.startsWith("Mac");
const CONTROL = MAC ? "⌘" : t("Ctrl");

/** `shortcuts`: [keys as shown, what they do, whether an event is meant, the work]. */
export function start(shortcuts) {
  document.addEventListener("keydown", (event) => {
    if (event.isComposing || document.querySelector("dialog:modal, :popover-open")) return;
    const found = shortcuts.find(([, , meant]) => meant?.(event, MAC ? event.metaKey : event.ctrlKey));
    if (!found || found[3](event) === false) return;
    event.preventDefault();
  });
  $("shortcut-list").replaceChildren(...shortcuts.flatMap(([keys, text]) => [
    make("dt", {}, ...keys.map((key) => make("kbd", {}, key === "Ctrl" ? CONTROL : t(key)))), make("dd", {}, text),
  ]));
  $("shortcuts-open").addEventListener("click", () => $("shortcuts").showModal());
}
