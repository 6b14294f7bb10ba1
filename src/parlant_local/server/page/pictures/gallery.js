// What was made: each picture with how it was made.
import { ask, askJson } from "../core/api.js";
import { $, confirmed, make, refill } from "../core/dom.js";
import { bytes, number, seconds, t } from "../core/words.js";
import { editing, forget } from "./form.js";
import { short } from "./jobs.js";

let pictures = [];
let more = false;
let tools = {};

/** `again` makes one once more, `startFrom` takes it as a start, `tell` says what went wrong. */
export function start(given) {
  tools = given;
  $("pictures-more").addEventListener("click", older);
  $("pictures-clear").addEventListener("click", clear);
}

export function take(listed) {
  pictures = listed.pictures;
  more = listed.more;
  draw();
}

export function add(made) {
  const known = new Set(pictures.map((one) => one.id));
  pictures = [...made.filter((one) => !known.has(one.id)).reverse(), ...pictures];
  draw();
}

export function removed(ids) {
  pictures = pictures.filter((one) => !ids.includes(one.id));
  forget(ids);
  draw();
}

async function older() {
  const found = await attempt(() => askJson(`api/images?before=${pictures.at(-1).id}`));
  if (!found) return;
  more = found.more;
  pictures = [...pictures, ...found.pictures];
  draw();
}

async function clear() {
  if (!(await confirmed(t("Delete all pictures?"), { yes: t("Delete all"), danger: true }))) return;
  await attempt(() => ask("api/images", { method: "DELETE" }));
}

async function remove(picture) {
  if (!(await confirmed(t("Delete this picture?"), { yes: t("Delete"), danger: true }))) return;
  await attempt(() => ask(`api/images/${picture.id}`, { method: "DELETE" }));
}

async function attempt(work) {
  tools.tell("");
  try {
    return await work();
  } catch (error) {
    tools.tell(error.message);
    return null;
  }
}

function draw() {
  $("pictures-empty").hidden = pictures.length > 0 || !$("pictures-none").hidden;
  $("pictures-clear").hidden = pictures.length === 0;
  $("pictures-more").hidden = !more;
  refill($("picture-cards"), pictures.map(card));
}

function card(picture) {
  const how = picture.parameters;
  const name = short(how.prompt);
  const label = (text) => t("{action} {name}", { action: text, name });
  const button = (text, work, danger) => make("button", { type: "button", class: danger ? "small danger" : "small", "data-focus": `${text} ${picture.id}`, "aria-label": label(text), onclick: work }, text);
  const facts = [
    picture.model, `${how.width} × ${how.height}`, how.steps ? t("{count} steps", { count: number(how.steps) }) : "", how.guidance != null ? t("guidance {value}", { value: number(how.guidance, 1) }) : "",
    how.seed != null ? t("seed {value}", { value: String(how.seed) }) : "", how.sampler ?? "", how.edited ? t("made from another picture") : "", picture.seconds ? seconds(picture.seconds) : "", bytes(picture.size),
  ];
  return make(
    "article", { class: "card picture", "data-picture": picture.id },
    make("a", { href: picture.url.slice(1), target: "_blank", rel: "noopener" }, make("img", { src: picture.url.slice(1), alt: how.prompt, loading: "lazy", width: String(how.width), height: String(how.height) })),
    make("p", {}, how.prompt),
    how.negative_prompt ? make("p", { class: "quiet" }, t("Without: {text}", { text: how.negative_prompt })) : null,
    make("p", { class: "quiet facts" }, facts.filter(Boolean).join(" · ")),
    make(
      "div", { class: "row actions" },
      how.edited ? null : button(t("Make again"), () => tools.again(picture)),
      editing() ? button(t("Use as start"), () => tools.startFrom(picture)) : null,
      make("a", { class: "button small", href: picture.url.slice(1), download: `${picture.id}.${picture.format}`, "aria-label": label(t("Download")) }, t("Download")),
      button(t("Delete"), () => remove(picture), true),
    ),
  );
}
