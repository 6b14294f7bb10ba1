// The page's language, and figures in it.

import { PORTUGUESE } from "./portuguese.js";
import { ONE } from "./singular.js";

const KEY = "parlant-local-language";
export const language = localStorage.getItem(KEY) ?? (navigator.language.toLowerCase().startsWith("pt") ? "pt" : "en");

export function setLanguage(name) {
  localStorage.setItem(KEY, name);
  location.reload();
}

/** Sentences that were said and have no Portuguese; for tests. */
export const untold = new Set();

/** A sentence in the page's language; `{name}` is filled in. The English one is its key, and `{count}` says whether one thing is meant. */
export function t(text, values = {}) {
  const meant = String(values.count) === "1" ? ONE[text] ?? text : text;
  if (language === "pt" && !(meant in PORTUGUESE)) untold.add(meant);
  const found = language === "pt" ? PORTUGUESE[meant] ?? meant : meant;
  return found.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

/** Translates what index.html says: texts of elements with `data-t`, and named attributes. */
export function translatePage() {
  document.documentElement.lang = language;
  if (language === "en") return;
  for (const node of document.querySelectorAll("[data-t]")) node.textContent = t(node.textContent.trim());
  for (const name of ["aria-label", "placeholder", "title"]) {
    for (const node of document.querySelectorAll(`[${name}]`)) node.setAttribute(name, t(node.getAttribute(name)));
  }
}

const UNITS = ["B", "kB", "MB", "GB", "TB"];

export function bytes(count) {
  if (count == null) return "–";
  let unit = 0;
  while (count >= 1000 && unit < UNITS.length - 1) { count /= 1000; unit += 1; }
  return `${number(count, count < 10 && unit ? 1 : 0)} ${UNITS[unit]}`;
}

/** How large a model is: its parameters, counted. */
export function parameters(count) {
  return count >= 1e9 ? t("{count} billion parameters", { count: number(count / 1e9, 1) }) : t("{count} million parameters", { count: number(count / 1e6, 1) });
}

export const number = (value, digits = 0) => (value == null ? "–" : value.toLocaleString(language, { maximumFractionDigits: digits }));
export const percent = (share) => (share == null ? "–" : `${number(100 * share)} %`);

export function seconds(value) {
  if (value == null) return "–";
  if (value < 1) return `${number(value * 1000)} ms`;
  if (value < 120) return `${number(value, 1)} s`;
  if (value < 7200) return `${number(value / 60)} min`;
  return value < 172_800 ? `${number(value / 3600, 1)} h` : t("{count} days", { count: number(value / 86_400) });
}

export const clock = (time) => new Date(time * 1000).toLocaleTimeString(language);
