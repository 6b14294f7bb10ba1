// Settings of the chat: one set of values per model, presets, a library of system prompts. Kept in this browser.

const KEY = "parlant-local-settings";
export const NUMBERS = ["temperature", "top_p", "top_k", "min_p", "max_tokens", "seed"];
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
    const value = Number(values[name]);
    if (values[name] !== undefined && Number.isFinite(value)) numbers[name] = value;
  }
  return { numbers, system: values.system ?? "", reasoning: values.reasoning ?? "", schema: schemaIn(values.schema).value, tools: toolsIn(values.tools).value };
}

/** A JSON schema in a text: `{ value }`, or why it is none: `{ value: null, problem }`. */
export function schemaIn(text) {
  return parsed(text, (found) => (found !== null && typeof found === "object" && !Array.isArray(found) ? null : "A schema is a JSON object."));
}

/** Tool definitions in a text: one, a list, with or without OpenAI's `function` around each. */
export function toolsIn(text) {
  const found = parsed(text, (value) => {
    const tools = [value].flat();
    return tools.length && tools.every((tool) => typeof (tool?.function?.name ?? tool?.name) === "string") ? null : "Each tool needs a name.";
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
