// Pictures and sounds that go with the next message: chosen, pasted or dropped.

import { $, icon, iconButton, make, tell } from "../core/dom.js";
import { t } from "../core/words.js";

const KINDS = /^(image\/(png|jpeg|webp|gif)|audio\/(wav|x-wav|wave|mpeg|flac|x-flac))$/;
const MOST = 8;
const SIDE = 2048;  // pixels: what a server scales pictures down to in any case
const LARGEST = 5e6;  // bytes, once a picture is scaled
let attached = [];

export const taken = () => attached;

export function start() {
  const chooser = make("input", { type: "file", accept: "image/png,image/jpeg,image/webp,image/gif,audio/*", multiple: "" });
  chooser.addEventListener("change", () => { take(chooser.files); chooser.value = ""; });
  $("attach").append(icon("clip"));
  $("attach").addEventListener("click", () => chooser.click());
  $("message").addEventListener("paste", (event) => {
    if (!event.clipboardData.files.length) return;
    event.preventDefault();
    take(event.clipboardData.files);
  });
  const chat = $("chat");
  const carriesFiles = (event) => event.dataTransfer?.types.includes("Files");
  chat.addEventListener("dragover", (event) => { if (carriesFiles(event)) { event.preventDefault(); chat.classList.add("dropping"); } });
  chat.addEventListener("dragleave", (event) => { if (!chat.contains(event.relatedTarget)) chat.classList.remove("dropping"); });
  chat.addEventListener("drop", (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    chat.classList.remove("dropping");
    take(event.dataTransfer.files);
  });
}

/** Nothing is carried over to another conversation. */
export function clear() {
  attached = [];
  draw();
}

async function take(files) {
  for (const file of files) {
    if (!KINDS.test(file.type)) { tell(t("{name} is neither a picture nor a sound.", { name: file.name })); continue; }
    if (attached.length >= MOST) { tell(t("A message takes {count} pictures and sounds.", { count: MOST })); break; }
    try {
      const blob = file.type.startsWith("image/") ? await scaled(file) : file;
      if (blob.size > LARGEST) { tell(t("{name} is larger than {size} MB.", { name: file.name, size: LARGEST / 1e6 })); continue; }
      attached.push({ kind: file.type.split("/")[0], name: file.name, uri: await uriOf(blob) });
    } catch {
      tell(t("{name} could not be read.", { name: file.name }));
    }
    draw();
  }
  $("message").focus();
}

/** The file itself, or a smaller picture where it is a large one. */
async function scaled(file) {
  const picture = await createImageBitmap(file);
  const share = SIDE / Math.max(picture.width, picture.height);
  if (share >= 1 && file.size < LARGEST / 2) return file;
  const canvas = make("canvas", { width: String(Math.round(picture.width * Math.min(1, share))), height: String(Math.round(picture.height * Math.min(1, share))) });
  const brush = canvas.getContext("2d");
  brush.fillStyle = "white";
  brush.fillRect(0, 0, canvas.width, canvas.height);
  brush.drawImage(picture, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.9));
}

function uriOf(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob);
  });
}

function draw() {
  const box = $("attached");
  box.hidden = !attached.length;
  box.replaceChildren(...attached.map((one) => make(
    "span", { class: "attachment" }, ...drawn([one]),
    iconButton("close", t("Remove {name}", { name: one.name }), () => { attached = attached.filter((other) => other !== one); draw(); $("message").focus(); }),
  )));
}

/** Pictures and sounds of a message, as they are shown. */
export function drawn(media) {
  return media.map((one) => (one.kind === "image"
    ? make("img", { src: one.uri, alt: one.name || t("Picture") })
    : make("audio", { src: one.uri, controls: "", "aria-label": one.name || t("Sound") })));
}

/** A message's media as parts of what is sent. */
export const partsOf = (media) => media.map((one) => (one.kind === "image"
  ? { type: "image_url", image_url: { url: one.uri } }
  : { type: "input_audio", input_audio: { data: one.uri.split(",", 2)[1], format: /wav/.test(one.uri.slice(0, 20)) ? "wav" : /mpeg/.test(one.uri.slice(0, 20)) ? "mp3" : "flac" } }));
