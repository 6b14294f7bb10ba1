// The panel of settings, of the model that is chosen.

import { $, asked, confirmed, make, tell } from "../core/dom.js";
import { t } from "../core/words.js";
import { chosenModel } from "./picker.js";
import * as values from "./values.js";

const FIELDS = [...values.NUMBERS, ...values.TEXTS];

export function start() {
  for (const name of FIELDS) {
    $(name).addEventListener("input", () => {
      values.setValue(chosenModel(), name, $(name).value);
      drawProblems();
    });
  }
  $("options-open").addEventListener("click", () => ($("options").open ? close() : open()));
  $("options-close").addEventListener("click", close);
  $("options").addEventListener("keydown", (event) => { if (event.key === "Escape") { event.stopPropagation(); close(); } });
  $("reset").addEventListener("click", reset);
  $("preset").addEventListener("change", usePreset);
  $("preset-keep").addEventListener("click", keepPreset);
  $("preset-drop").addEventListener("click", dropPreset);
  $("prompt-choice").addEventListener("change", usePrompt);
  $("prompt-keep").addEventListener("click", keepPrompt);
  $("prompt-drop").addEventListener("click", dropPrompt);
  draw();
}

export function open() {
  $("options").show();
  $("options-open").setAttribute("aria-expanded", "true");
  $("options-close").focus();
}

function close() {
  $("options").close();
  $("options-open").setAttribute("aria-expanded", "false");
  $("options-open").focus();
}

let drawn = null;  // the model whose values are shown

/** The chosen model's values, where it is another one than before: what is being typed stays. */
export function follow() {
  if (drawn !== chosenModel()) draw();
}

function draw() {
  drawn = chosenModel();
  const now = values.valuesOf(chosenModel());
  for (const name of FIELDS) $(name).value = now[name] ?? "";
  $("options-model").textContent = chosenModel() || t("no model");
  fill($("preset"), t("Preset …"), Object.keys(values.presets()), (name) => (values.isOwnPreset(name) ? name : t(name)));
  fill($("prompt-choice"), t("Saved prompts …"), Object.keys(values.prompts()), (name) => name);
  $("preset-drop").hidden = $("prompt-drop").hidden = true;
  drawProblems();
}

function fill(select, first, names, label) {
  select.replaceChildren(make("option", { value: "" }, first), ...names.map((name) => make("option", { value: name }, label(name))));
}

function drawProblems() {
  const now = values.valuesOf(chosenModel());
  const problems = { schema: values.schemaIn(now.schema).problem, tools: values.toolsIn(now.tools).problem };
  for (const [name, problem] of Object.entries(problems)) {
    $(`${name}-problem`).textContent = problem ? t("Not used: {problem}", { problem }) : "";
    $(name).setAttribute("aria-invalid", String(Boolean(problem)));
  }
  const wrong = values.NUMBERS.filter((name) => $(name).validity.badInput || values.numberIn(name, now[name]).problem);
  for (const name of values.NUMBERS) $(name).setAttribute("aria-invalid", String(wrong.includes(name)));
  const told = wrong.map((name) => `${$(name).labels[0].firstElementChild.textContent}: ${values.numberIn(name, "?").problem}`);
  $("numbers-problem").textContent = told.length ? t("Not used: {problem}", { problem: told.join(", ") }) : "";
  $("options-open").classList.toggle("changed", Object.keys(now).length > 0);
}

async function reset() {
  if (!(await confirmed(t("Set everything back to what {model} recommends?", { model: chosenModel() }), { yes: t("Reset"), danger: true }))) return;
  values.setValues(chosenModel(), {});
  draw();
}

function usePreset() {
  const preset = values.presets()[$("preset").value];
  if (!preset) return;
  const name = $("preset").value;
  // The sampling is the preset's alone; a prompt, a schema or tools stay unless it has its own.
  const now = Object.fromEntries(Object.entries(values.valuesOf(chosenModel())).filter(([field]) => values.TEXTS.includes(field)));
  values.setValues(chosenModel(), { ...now, ...preset });
  draw();
  $("preset").value = name;
  $("preset-drop").hidden = !values.isOwnPreset(name);
}

async function keepPreset() {
  const name = await asked(t("Name of the preset"), "");
  if (!name) return;
  if (name in values.BUILT_IN) { tell(t("That name is taken.")); return; }
  if (name in values.presets() && !(await replaced(name))) return;
  values.keepPreset(name, values.valuesOf(chosenModel()));
  draw();
  $("preset").value = name;
  $("preset-drop").hidden = false;
}

async function dropPreset() {
  const name = $("preset").value;
  if (!(await confirmed(t("Delete the preset “{name}”?", { name }), { yes: t("Delete"), danger: true }))) return;
  values.dropPreset(name);
  draw();
}

const replaced = (name) => confirmed(t("“{name}” is there already. Replace it?", { name }), { yes: t("Replace"), danger: true });

function usePrompt() {
  const name = $("prompt-choice").value;
  const text = values.prompts()[name];
  $("prompt-drop").hidden = text === undefined;
  if (text === undefined) return;
  values.setValue(chosenModel(), "system", text);
  draw();
  $("prompt-choice").value = name;
  $("prompt-drop").hidden = false;
}

async function keepPrompt() {
  if (!$("system").value.trim()) { tell(t("Write a system prompt first.")); return; }
  const name = await asked(t("Name of the prompt"), "");
  if (!name || (name in values.prompts() && !(await replaced(name)))) return;
  values.keepPrompt(name, $("system").value);
  draw();
  $("prompt-choice").value = name;
  $("prompt-drop").hidden = false;
}

async function dropPrompt() {
  const name = $("prompt-choice").value;
  if (!(await confirmed(t("Delete the prompt “{name}”?", { name }), { yes: t("Delete"), danger: true }))) return;
  values.dropPrompt(name);
  draw();
}
