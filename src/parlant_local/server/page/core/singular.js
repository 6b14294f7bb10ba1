// Sentences for one thing, by those for several.

export const ONE = {
  "answering {count} requests": "answering one request",
  "In the queue, {count} before you …": "In the queue, one before you …",
  "{count} calls": "1 call",
  "{count} conversations were read.": "1 conversation was read.",
  "{count} downloads": "1 download",
  "{count} models found.": "1 model found.",
  "{count} steps": "1 step",
  "{count} retries": "1 retry",
  "{count} tokens": "1 token",
  "{share} % of {count} cores": "{share} % of one core",
};
