// Talking to the server: every request says which audit this page shows.

import { byId, make } from "/static/dom.js";

export const RUN = document.body.dataset.run;

export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** Ask the server; what it answers. Raises `Refused` where it says no, and TypeError without a connection. */
export async function ask(address, body) {
  const options = body === undefined ? { headers: { "X-Audit-Run": RUN } } : {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ run_id: RUN, ...body }),
  };
  const answer = await fetch(address, { credentials: "same-origin", ...options });
  const text = await answer.text();
  let found = null;
  try { found = JSON.parse(text); } catch { /* told below */ }
  if (answer.ok && found !== null) {
    newer(found.newer ?? found.progress?.newer);
    return found;
  }
  const said = found?.error ? [found.error.message, found.error.fix].filter(Boolean).join(" ") : `status ${answer.status}`;
  throw new Refused(answer.status, said);
}

/** Say that a newer audit is there, and offer to review it. */
function newer(run) {
  const place = byId("newer");
  if (!run || place.dataset.shown === run) return;
  place.dataset.shown = run;
  place.hidden = false;
  place.replaceChildren(`A newer audit is there (${run}). `, make("button", { type: "button", class: "button", onclick: openNewest }, "Review it"));
}

/** Review the newest audit of the output from now on. */
export async function openNewest() {
  try {
    await ask("/api/newest", {});
    location.assign("/");
  } catch (error) {
    trouble(error.message);
  }
}

/** Say what is wrong at the top of the page; nothing takes it away again. */
export function trouble(message) {
  const place = byId("trouble");
  place.textContent = message ?? "";
  place.hidden = !message;
}

/** An id that nobody else makes up. */
export function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

newer(byId("newer").dataset.run);
