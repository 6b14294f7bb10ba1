// A conversation is a tree: an edited question and an answer that was made again are branches beside the first ones.

export function newConversation() {
  const now = Date.now();
  return { id: crypto.randomUUID?.() ?? `${now}-${Math.random()}`, title: "", named: false, pinned: false, created: now, updated: now, model: "", messages: {}, chosen: {} };
}

/** Adds a message below `parent` (null: at the top) and chooses its branch. */
export function add(conversation, parent, message) {
  const id = String(1 + Math.max(0, ...Object.keys(conversation.messages).map(Number)));
  const added = { state: "done", ...message, id, parent, created: Date.now() };
  conversation.messages[id] = added;
  choose(conversation, added);
  conversation.updated = added.created;
  if (!conversation.named && !conversation.title && added.role === "user") conversation.title = titleOf(added.content);
  return added;
}

export function choose(conversation, message) {
  conversation.chosen[message.parent ?? ""] = message.id;
}

/** The messages that are shown: from the top along the chosen branches. */
export function path(conversation) {
  const found = [];
  const seen = new Set();
  for (let id = conversation.chosen[""]; id && conversation.messages[id] && !seen.has(id); id = conversation.chosen[id]) {
    seen.add(id);
    found.push(conversation.messages[id]);
  }
  return found;
}

/** The branches at a message's place, in the order in which they came. */
export function siblings(conversation, message) {
  return Object.values(conversation.messages).filter((other) => other.parent === message.parent).sort((a, b) => Number(a.id) - Number(b.id));
}

/** Removes a message with all that follows it; a branch beside it is chosen. */
export function cut(conversation, message) {
  const rest = siblings(conversation, message).filter((other) => other !== message);
  const gone = [message.id];
  for (let at = 0; at < gone.length; at += 1) {
    for (const other of Object.values(conversation.messages)) if (other.parent === gone[at]) gone.push(other.id);
  }
  for (const id of gone) {
    delete conversation.messages[id];
    delete conversation.chosen[id];
  }
  if (rest.length) choose(conversation, rest.at(-1));
  else delete conversation.chosen[message.parent ?? ""];
  conversation.updated = Date.now();
}

const LONGEST_TITLE = 60;

function titleOf(text) {
  const line = text.trim().split("\n", 1)[0];
  return line.length > LONGEST_TITLE ? `${line.slice(0, LONGEST_TITLE).trimEnd()} …` : line;
}
