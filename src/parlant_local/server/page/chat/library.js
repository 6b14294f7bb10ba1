// All conversations of this browser: in memory, and in its database.

import * as store from "../core/store.js";
import { path } from "./tree.js";

const known = new Map();
let told = () => {};
export let problem = null;  // why nothing is kept, where the browser has no database

/** Reads them; answers that were being written when the page was left count as stopped. `changed` is called whenever the list has changed. */
export async function open(changed) {
  told = changed;
  try {
    for (const conversation of await store.all()) {
      for (const message of Object.values(conversation.messages)) {
        if (message.state === "running") Object.assign(message, { state: message.content ? "stopped" : "failed", error: "", progress: null });
        delete message.thinkingSince;
      }
      known.set(conversation.id, conversation);
    }
  } catch (error) {
    problem = error;
  }
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
}

export async function forget(conversation) {
  known.delete(conversation.id);
  told();
  await write(() => store.remove(conversation.id));
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
