// Conversations as files: JSON, which can be read again, and Markdown, for people.

import { t } from "../core/words.js";
import { path } from "./tree.js";

const FORM = "parlant-local-conversations";
const LARGEST = 50e6;  // bytes

export const asJson = (conversations) => JSON.stringify({ form: FORM, version: 1, conversations }, null, 1);

export function asMarkdown(conversation) {
  const parts = [`# ${conversation.title || t("Conversation")}`];
  for (const message of path(conversation)) {
    const who = { user: t("You"), assistant: message.model || t("Model"), tool: t("Result of a tool") }[message.role];
    const calls = (message.calls ?? []).map((call) => `\`\`\`json\n${call.name}(${call.arguments})\n\`\`\``);
    const media = (message.media ?? []).map((one) => `*${one.name || t(one.kind === "image" ? "Picture" : "Sound")}*`);
    parts.push(`## ${who}`, ...media, ...[message.content, ...calls].filter(Boolean));
  }
  return `${parts.join("\n\n")}\n`;
}

/** The conversations in a file, each under a new id. Throws where it is none of ours. */
export async function read(file) {
  if (file.size > LARGEST) throw new Error(t("The file is larger than {size} MB.", { size: LARGEST / 1e6 }));
  let found;
  try {
    found = JSON.parse(await file.text());
  } catch {
    throw new Error(t("The file is not JSON."));
  }
  if (found?.form !== FORM || !Array.isArray(found.conversations)) throw new Error(t("The file has no conversations of this page."));
  return found.conversations.map(checked).filter(Boolean);
}

const ROLES = ["user", "assistant", "tool"];
const STATES = ["done", "stopped", "cut", "failed", "calls"];
const text = (value) => (typeof value === "string" ? value : "");
const time = (value) => (Number.isFinite(value) ? value : Date.now());

/** A picture or sound that the file itself has: nothing is fetched for it. */
const isMedia = (one) => ["image", "audio"].includes(one?.kind) && new RegExp(`^data:${one.kind}/[\\w.+-]+;base64,[A-Za-z0-9+/=]*$`).test(one.uri);

/** Only the fields that are known, each of its kind: a file may come from anywhere. */
function checked(given) {
  if (given === null || typeof given !== "object" || typeof given.messages !== "object") return null;
  const messages = {};
  for (const [id, message] of Object.entries(given.messages ?? {})) {
    if (!/^\d{1,9}$/.test(id) || !ROLES.includes(message?.role)) continue;
    messages[id] = {
      id, parent: /^\d{1,9}$/.test(message.parent) ? String(message.parent) : null, role: message.role, created: time(message.created),
      state: STATES.includes(message.state) ? message.state : "done", content: text(message.content), reasoning: text(message.reasoning),
      thought: Number.isFinite(message.thought) ? message.thought : null, model: text(message.model), call: text(message.call), error: text(message.error),
      answered: message.answered === true, media: (Array.isArray(message.media) ? message.media : []).filter(isMedia).map((one) => ({ kind: one.kind, name: text(one.name), uri: one.uri })),
      calls: (Array.isArray(message.calls) ? message.calls : []).map((call) => ({ id: text(call?.id), name: text(call?.name), arguments: text(call?.arguments) })),
      figures: Object.fromEntries(Object.entries(message.figures ?? {}).filter(([, value]) => Number.isFinite(value))),
    };
  }
  const chosen = Object.entries(given.chosen ?? {}).filter(([, id]) => messages[id]);
  return {
    id: crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`, title: text(given.title).slice(0, 200), named: given.named === true, pinned: given.pinned === true,
    created: time(given.created), updated: time(given.updated), model: text(given.model), messages, chosen: Object.fromEntries(chosen),
  };
}
