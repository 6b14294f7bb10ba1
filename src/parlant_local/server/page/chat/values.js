// Settings of the chat: one set of values per model, presets, a library of system prompts. Kept in this browser.

import { t } from "../core/words.js";

const KEY = "parlant-local-settings";
const RANGES = { temperature: [0, 5], top_p: [0, 1], top_k: [0, null, 1], min_p: [0, 1], max_tokens: [1, null, 1], seed: [0, null, 1] };  // least, most, step
export const NUMBERS = Object.keys(RANGES);
export const TEXTS = ["system", "reasoning", "schema", "tools"];
export const BUILT_IN = {
  Precise: { temperature: "0.2", top_p: "0.9" },
  Balanced: { temperature: "0.7", top_p: "0.95" },
  Creative: { temperature: "1.1", top_p: "0.98" },
};

const kept = read();

function read() {
  const empty = { models: {}, presets: {}, prompts: {} };
  try {
    const found = JSON.parse(localStorage.getItem(KEY) ?? "{}");
    return { models: { ...found.models }, presets: { ...found.presets }, prompts: { ...found.prompts } };
  } catch {
    return empty;  // not ours, or damaged
  }
}

function save() {
  localStorage.setItem(KEY, JSON.stringify(kept));
}

/** The texts of the fields, as they were typed. */
export const valuesOf = (model) => kept.models[model] ?? {};

export function setValue(model, name, text) {
  const values = { ...valuesOf(model), [name]: text };
  if (text === "") delete values[name];
  setValues(model, values);
}

export function setValues(model, values) {
  kept.models[model] = values;
  if (!Object.keys(values).length) delete kept.models[model];
  save();
}

export const presets = () => ({ ...BUILT_IN, ...kept.presets });
export const isOwnPreset = (name) => name in kept.presets;
export const prompts = () => ({ ...kept.prompts });

export function keepPreset(name, values) {
  kept.presets[name] = values;
  save();
}

export function dropPreset(name) {
  delete kept.presets[name];
  save();
}

export function keepPrompt(name, text) {
  kept.prompts[name] = text;
  save();
}

export function dropPrompt(name) {
  delete kept.prompts[name];
  save();
}

/** The values as a request needs them: fields that don't make sense are left out, and the panel says so. */
export function chosenSettings(model) {
  const values = valuesOf(model);
  const numbers = {};
  for (const name of NUMBERS) {
    const { value } = numberIn(name, values[name]);
    if (value !== null) numbers[name] = value;
  }
  return { numbers, system: values.system ?? "", reasoning: values.reasoning ?? "", schema: schemaIn(values.schema).value, tools: toolsIn(values.tools).value };
}

/** A number in a text: `{ value }`, or why it is none that the server takes. */
export function numberIn(name, text) {
  if (text === undefined || text === "") return { value: null };
  const [least, most, step] = RANGES[name];
  const value = Number(text);
  if (Number.isFinite(value) && value >= least && value <= (most ?? Infinity) && (!step || Number.isInteger(value))) return { value };
  return { value: null, problem: most === null ? t("a whole number from {least}", { least }) : t("a number from {least} to {most}", { least, most }) };
}

/** A JSON schema in a text: `{ value }`, or why it is none: `{ value: null, problem }`. */
export function schemaIn(text) {
  return parsed(text, (found) => (found !== null && typeof found === "object" && !Array.isArray(found) ? null : t("A schema is a JSON object.")));
}

/** Tool definitions in a text: one, a list, with or without OpenAI's `function` around each. */
export function toolsIn(text) {
  const found = parsed(text, (value) => {
    const tools = [value].flat();
    return tools.length && tools.every((tool) => typeof (tool?.function?.name ?? tool?.name) === "string") ? null : t("Each tool needs a name.");
  });
  if (found.value) found.value = [found.value].flat().map((tool) => (tool.function ? tool : { type: "function", function: tool }));
  return found;
}

function parsed(text, check) {
  if (!text?.trim()) return { value: null };
  let value;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return { value: null, problem: error.message };
  }
  const problem = check(value);
  return problem ? { value: null, problem } : { value };
}
