// Pictures: what is asked for, what is being made, what was made.
import { ask, askJson, events } from "../core/api.js";
import { $ } from "../core/dom.js";
import * as form from "./form.js";
import * as gallery from "./gallery.js";
import * as jobs from "./jobs.js";

let listening = null;
let shown = false;

export function start() {
  form.start(begin);
  gallery.start({ again, startFrom: form.startFrom, tell: failed });
  jobs.start({ again, tell: failed });
  document.addEventListener("visibilitychange", listen);
  addEventListener("pagehide", () => listening?.abort());
  addEventListener("pageshow", (event) => { if (event.persisted) { listening = null; listen(); } });
}

/** Whether somebody looks at the section: a connection is held only then, as a browser has six to a server. */
export function follow(looks) {
  if (shown === looks) return;
  shown = looks;
  listen();
}

function listen() {
  const wanted = shown && !document.hidden;
  if (wanted === Boolean(listening)) return;
  listening?.abort();
  listening = wanted ? new AbortController() : null;
  if (listening) watch(listening.signal);
}

/** Follows every step; a connection that breaks is made anew. */
async function watch(signal) {
  while (!signal.aborted) {
    try {
      const stream = await ask("api/images/events", { signal });
      for await (const event of events(stream, { endless: true })) {
        if (event.event === "hello") await refresh();
        else if (event.event === "job") jobs.note(event.job, gallery.add);
        else if (event.event === "removed") gallery.removed(event.ids);
      }
    } catch {
      // the header tells when the server is gone
    }
    if (!signal.aborted) await new Promise((resolve) => setTimeout(resolve, 2000));
  }
}

async function refresh() {
  const [listed, { data }] = await Promise.all([askJson("api/images"), askJson("v1/models")]);
  form.offer(data.filter((model) => model.capabilities.includes("images")));
  jobs.take(listed.jobs);
  gallery.take(listed);
}

/** Starts a job. Nothing of the form is lost where that is refused. */
async function begin(wish) {
  failed("");
  try {
    jobs.note(await askJson("api/images", { method: "POST", body: wish }), gallery.add);
    return true;
  } catch (error) {
    failed(error.message);
    return false;
  }
}

/** The same once more, with another seed. */
function again({ model, parameters, count = 1 }) {
  form.fill(model, { ...parameters, seed: null }, count);
  return begin(form.wish());
}

function failed(text) {
  $("picture-note").textContent = text;
}
