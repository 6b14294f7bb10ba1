// What a picture shall be.
import { $, iconButton, make } from "../core/dom.js";
import { t } from "../core/words.js";

const NUMBERS = ["width", "height", "steps", "guidance", "seed", "strength"];
let models = [];
let source = null;

/** `begin` starts a job; true where it was accepted. */
export function start(begin) {
  $("draw").addEventListener("submit", (event) => {
    event.preventDefault();
    begin(wish());
  });
  $("picture-prompt").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) $("draw").requestSubmit();
  });
  $("picture-model").addEventListener("change", drawSource);
}

/** The models that make pictures; the form is there only with one. */
export function offer(found) {
  models = found;
  const chosen = $("picture-model").value;
  const names = found.map((model) => model.id);
  if ([...$("picture-model").options].map((option) => option.value).join("\n") !== names.join("\n")) {
    $("picture-model").replaceChildren(...names.map((name) => make("option", { value: name, selected: name === chosen }, name)));
  }
  $("picture-model-row").hidden = found.length < 2;
  $("pictures-none").hidden = found.length > 0;
  $("draw").hidden = found.length === 0;
  drawSource();
}

export function wish() {
  const found = { prompt: $("picture-prompt").value, negative_prompt: $("picture-negative").value, n: Number($("picture-count").value) };
  if ($("picture-model").value) found.model = $("picture-model").value;
  for (const name of NUMBERS) if ($(`picture-${name}`).value !== "" && (name !== "strength" || source)) found[name] = Number($(`picture-${name}`).value);
  if (source) found.sources = [source.id];
  return found;
}

/** Puts what made a picture into the form. */
export function fill(model, parameters, count = 1) {
  if (models.some((one) => one.id === model)) $("picture-model").value = model;
  $("picture-prompt").value = parameters.prompt;
  $("picture-negative").value = parameters.negative_prompt;
  $("picture-count").value = count;
  for (const name of NUMBERS) $(`picture-${name}`).value = parameters[name] ?? "";
  source = null;
  drawSource();
}

export const editing = () => models.some((model) => model.capabilities.includes("image_edits"));

/** The next pictures are made from this one. */
export function startFrom(picture) {
  source = picture;
  for (const name of ["width", "height"]) $(`picture-${name}`).value = picture.parameters[name];
  const able = models.filter((model) => model.capabilities.includes("image_edits"));
  if (!able.some((model) => model.id === $("picture-model").value)) $("picture-model").value = able[0].id;
  drawSource();
  $("picture-prompt").focus();
  $("picture-prompt").scrollIntoView({ block: "center" });
}

/** A picture that is gone is no start any more. */
export function forget(ids) {
  if (!source || !ids.includes(source.id)) return;
  source = null;
  drawSource();
}

function drawSource() {
  $("picture-start").hidden = !source;
  $("picture-strength-row").hidden = !source;
  $("picture-start").replaceChildren(...(source ? [
    make("span", { class: "attachment" }, make("img", { src: source.url.slice(1), alt: source.parameters.prompt }),
      iconButton("close", t("Start from nothing"), () => { source = null; drawSource(); $("picture-prompt").focus(); })),
    make("span", { class: "quiet" }, t("The picture to start from")),
  ] : []));
}
