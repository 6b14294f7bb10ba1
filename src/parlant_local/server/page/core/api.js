// Requests to the server.

import { t } from "./words.js";

const KEY = "parlant-local-key";

/** An error with the server's message. */
export class ApiError extends Error {
  constructor(message, status) { super(message); this.status = status; }
}

/** One request; prompts for an API key where the server requires one. Returns the response if it is successful. */
export async function ask(path, { method = "GET", body, signal } = {}) {
  for (;;) {
    const headers = {};
    const key = sessionStorage.getItem(KEY);
    if (key) headers.authorization = `Bearer ${key}`;
    if (body !== undefined) headers["content-type"] = "application/json";
    const answer = await reached(path, { method, headers, signal, body: body === undefined ? undefined : JSON.stringify(body) });
    if (answer.status === 401) {
      // Another request's dialog may have stored a new key meanwhile.
      if (sessionStorage.getItem(KEY) === key) await login(key);
      continue;
    }
    if (!answer.ok) throw new ApiError(await reason(answer), answer.status);
    return answer;
  }
}

/** The response, whatever it says; a server that is not there is told in the page's words, not in the browser's. */
async function reached(path, options) {
  try {
    return await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(t("The server is not responding. Is it still running?"), 0);
  }
}

export async function askJson(path, options) {
  return (await ask(path, options)).json();
}

/** The values of a server-sent event stream, until `[DONE]`. An error event is thrown, and so is an end before `[DONE]`. */
export async function* events(answer, { endless = false } = {}) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await piece(reader);
      if (done && !endless) throw new ApiError(t("The connection ended before the answer did."), 0);
      if (done) return;
      rest += value;
      const parts = rest.split("\n\n");
      rest = parts.pop();
      for (const part of parts) {
        const data = part.split("\n").filter((line) => line.startsWith("data: ")).map((line) => line.slice(6)).join("\n");
        if (!data) continue;  // a comment that keeps the connection open
        if (data === "[DONE]") return;
        const found = JSON.parse(data);
        if (found.error) throw new ApiError(found.error.message, 200);
        yield found;
      }
    }
  } finally {
    reader.cancel().catch(() => {});  // already closed
  }
}

async function piece(reader) {
  try {
    return await reader.read();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(t("The connection ended before the answer did."), 0);
  }
}

async function reason(answer) {
  try {
    return (await answer.json()).error.message;
  } catch {
    return t("The server responded with status {status}.", { status: answer.status });
  }
}

let asking = null;

/** Shows one dialog, however many requests are waiting for the key. */
function login(refused) {
  if (refused) document.getElementById("login-note").textContent = t("This API key is not valid.");
  asking ??= new Promise((resolve) => {
    const dialog = document.getElementById("login");
    const input = document.getElementById("key");
    if (!refused) document.getElementById("login-note").textContent = "";
    input.value = "";
    dialog.addEventListener("close", () => {
      if (input.value) sessionStorage.setItem(KEY, input.value.trim());
      input.value = "";
      asking = null;
      resolve();
    }, { once: true });
    if (!dialog.open) dialog.showModal();
  });
  return asking;
}
