// Pictures being made: how far each is, and what went wrong.
import { ask } from "../core/api.js";
import { $, make, refill } from "../core/dom.js";
import { number, t } from "../core/words.js";

let known = new Map();
let tools = {};

/** `again` starts one once more, `tell` says what went wrong. */
export function start(given) {
  tools = given;
}

export function take(jobs) {
  known = new Map(jobs.filter((job) => job.state !== "cancelled").map((job) => [job.id, job]));
  draw();
}

/** What is told of one; `made` gets the pictures of one that is done. */
export function note(job, made) {
  if (job.state === "done") {
    if (known.has(job.id)) $("picture-news").textContent = t("The picture is there: {name}", { name: short(job.parameters.prompt) });
    made(job.pictures);
  }
  if (job.state === "done" || job.state === "cancelled") known.delete(job.id);
  else known.set(job.id, job);
  draw();
}

export const short = (text) => (text.length > 60 ? `${text.slice(0, 57)} …` : text);

function draw() {
  refill($("picture-jobs"), [...known.values()].sort((a, b) => a.created - b.created).map((job) => {
    const name = short(job.parameters.prompt);
    const button = (label, work, danger) => make("button", { type: "button", class: danger ? "small danger" : "small", "data-focus": `${label} ${job.id}`, "aria-label": t("{action} {name}", { action: label, name }), onclick: work }, label);
    const ended = job.state === "failed";
    return make(
      "div", { class: `download ${job.state}`, "data-job": job.id },
      make("div", { class: "row" }, make("strong", {}, name), make("span", { class: "badge" }, job.model)),
      ended ? null : make("progress", { max: "1", value: job.state === "running" && job.steps ? String(share(job)) : null, "aria-label": t("Progress of {name}", { name }) }),
      make("p", { class: ended ? "failed" : "quiet" }, ended ? job.error.message : state(job)),
      make(
        "div", { class: "row" },
        ended ? null : button(t("Cancel"), () => remove(job), true),
        ended && !job.parameters.edited ? button(t("Retry"), () => { remove(job); tools.again(job); }) : null,
        ended ? button(t("Hide"), () => remove(job)) : null,
      ),
    );
  }));
}

const share = (job) => (job.picture - 1 + job.step / job.steps) / job.count;

function state(job) {
  if (job.state === "queued" || job.ahead) return job.ahead ? t("In the queue, {count} before you …", { count: number(job.ahead) }) : t("In the queue, next …");
  const told = [];
  if (job.count > 1) told.push(t("Picture {at} of {count}", { at: job.picture, count: job.count }));
  told.push(job.steps ? t("Step {at} of {all}", { at: job.step, all: job.steps }) : t("Being made …"));
  return told.join(" · ");
}

async function remove(job) {
  try {
    await ask(`api/images/${job.id}`, { method: "DELETE" });
  } catch (error) {
    if (error.status !== 404) tools.tell(error.message);
  }
  known.delete(job.id);
  draw();
}
