// What is sent to the model: the shown branch of a conversation, with its model's settings.

import { partsOf } from "./attachments.js";
import { chosenSettings } from "./values.js";

/** The request's body. `before` excludes the answer that is being made and what follows; with `continued` it ends with that answer. */
export function bodyOf(model, messages, { continued = false } = {}) {
  const settings = chosenSettings(model);
  const body = { model: model || undefined, stream: true, stream_options: { include_usage: true }, return_progress: true };
  for (const [name, value] of Object.entries(settings.numbers)) body[name] = value;
  if (settings.reasoning) body.reasoning = { enabled: settings.reasoning === "on" };
  if (settings.schema) body.response_format = { type: "json_schema", json_schema: { name: "answer", schema: settings.schema } };
  if (settings.tools) body.tools = settings.tools;
  const system = settings.system.trim();
  body.messages = [...(system ? [{ role: "system", content: system }] : []), ...answered(messages).map(sent)];
  if (continued) body.continue_final_message = true;
  return body;
}

/** Without the questions whose answers never came, but for the last one. */
function answered(messages) {
  const empty = (message) => message?.role === "assistant" && !message.content && !message.calls?.length;
  return messages.filter((message, at) => !empty(message) && !(message.role === "user" && empty(messages[at + 1]) && at + 2 < messages.length));
}

function sent(message) {
  if (message.role === "tool") return { role: "tool", tool_call_id: message.call, content: message.content };
  if (message.media?.length) return { role: message.role, content: [...partsOf(message.media), { type: "text", text: message.content }] };
  if (!message.calls?.length) return { role: message.role, content: message.content };
  const calls = message.calls.map((call) => ({ id: call.id, type: "function", function: { name: call.name, arguments: call.arguments } }));
  return { role: "assistant", content: message.content || null, tool_calls: calls };
}
