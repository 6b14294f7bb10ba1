// All conversations of this browser: in memory, and in its database.

import * as store from "../core/store.js";
import { t } from "../core/words.js";
import { runningIn } from "./answering.js";
import { path } from "./tree.js";

const known = new Map();
const others = new BroadcastChannel("parlant-local");  // this page in other tabs
let told = () => {};
export let problem = null;  // why nothing is kept, where the browser has no database

/**
 * Reads them; answers that were being written when the page was left count as stopped. `changed` is called whenever the list has changed,
 * `replaced` with a conversation and what another tab has made of it.
 */
export async function open(changed, replaced) {
  told = changed;
  others.onmessage = ({ data: id }) => takeOver(id, replaced);
  try {
    for (const conversation of await store.all()) {
      for (const message of Object.values(conversation.messages)) {
        if (message.state === "running") Object.assign(message, { state: message.content ? "stopped" : "failed", error: t("The page was left before the answer came."), progress: null });
        delete message.thinkingSince;
      }
      known.set(conversation.id, conversation);
    }
  } catch (error) {
    problem = error;
  }
  told();
}

async function takeOver(id, replaced) {
  const old = known.get(id);
  if (old && runningIn(old)) return;  // this tab's own comes last
  const fresh = await store.one(id);
  if (fresh) known.set(id, fresh);
  else known.delete(id);
  if (old && fresh) replaced(old, fresh);
  told();
}

export const get = (id) => known.get(id);

/** The pinned ones first, then the newest; those with all of the words in their title or messages. */
export function list(words = "") {
  const wanted = words.toLowerCase().split(/\s+/).filter(Boolean);
  return [...known.values()]
    .filter((conversation) => matches(conversation, wanted))
    .sort((a, b) => Number(b.pinned) - Number(a.pinned) || b.updated - a.updated);
}

function matches(conversation, words) {
  if (!words.length) return true;
  const text = [conversation.title, ...Object.values(conversation.messages).map((message) => message.content)].join("\n").toLowerCase();
  return words.every((word) => text.includes(word));
}

export async function keep(conversation) {
  if (!path(conversation).length && !known.has(conversation.id)) return;
  known.set(conversation.id, conversation);
  told();
  await write(() => store.put(structuredClone(conversation)));
  if (!runningIn(conversation)) others.postMessage(conversation.id);
}

export async function forget(conversation) {
  known.delete(conversation.id);
  told();
  await write(() => store.remove(conversation.id));
  others.postMessage(conversation.id);
}

/** A browser without a database (private windows, a full disk) keeps them until the page is left. */
async function write(work) {
  if (problem) return;
  try {
    await work();
  } catch (error) {
    problem = error;
    told();
  }
}
