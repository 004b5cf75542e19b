// Talking to the server. Decisions are kept in this browser until the server has said that they are stored.

import { byId, plural } from "/static/dom.js";

const RUN = document.body.dataset.run;
const KEY = `label-review:${RUN}:${document.body.dataset.who}`;
const AGAIN = [1000, 2000, 5000, 10000];

export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** Ask the server; what it answers. Raises `Refused` where it says no, and TypeError without a connection. */
export async function ask(address, body) {
  const options = body === undefined ? {} : {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  };
  const answer = await fetch(address, { credentials: "same-origin", ...options });
  const text = await answer.text();
  let found = null;
  try { found = JSON.parse(text); } catch { /* told below */ }
  if (answer.ok && found !== null) return found;
  const said = found?.error ? [found.error.message, found.error.fix].filter(Boolean).join(" ") : `status ${answer.status}`;
  throw new Refused(answer.status, said);
}

/** Say what is wrong at the top of the page; nothing takes it away again. */
export function trouble(message) {
  const place = byId("trouble");
  place.textContent = message ?? "";
  place.hidden = !message;
}

/** What is sent, one after the other, kept across reloads and lost connections. */
export class Outbox {
  constructor(onStored) {
    this.onStored = onStored;
    this.failures = 0;
    this.sending = false;
    this.timer = null;
    addEventListener("online", () => this.send());
    // another window of the same person may have sent some of them
    addEventListener("storage", (event) => { if (event.key === KEY) this.show(); });
    this.show();
    this.send();
  }

  get waiting() {
    try { return JSON.parse(localStorage.getItem(KEY)) ?? []; } catch { return []; }
  }

  set waiting(list) {
    if (list.length) localStorage.setItem(KEY, JSON.stringify(list));
    else localStorage.removeItem(KEY);
    this.show();
  }

  put(address, body) {
    this.waiting = [...this.waiting, { address, body }];
    return this.send();
  }

  /** Drop what was not sent yet; whether it was there. */
  drop(name) {
    const kept = this.waiting.filter((item) => item.body.decision_id !== name);
    const found = kept.length < this.waiting.length && !(this.sending && this.waiting[0].body.decision_id === name);
    if (found) this.waiting = kept;
    return found;
  }

  async send() {
    if (this.sending) return;
    clearTimeout(this.timer);
    this.sending = true;
    try {
      while (this.waiting.length) {
        const [first] = this.waiting;
        try {
          const stored = await ask(first.address, first.body);
          this.failures = 0;
          this.done(first);
          trouble(null);
          this.onStored?.(first, stored);
        } catch (error) {
          if (!this.lives(error, first)) break;
        }
      }
    } finally {
      this.sending = false;
      this.show();
    }
  }

  done(first) {
    const same = JSON.stringify(first);
    this.waiting = this.waiting.filter((item) => JSON.stringify(item) !== same);
  }

  /** Whether to go on with the next one after a failure. */
  lives(error, first) {
    const count = this.waiting.length;
    if (error instanceof Refused && error.status === 422) {
      trouble(`A decision was refused: ${error.message}`);
      this.done(first);
      return true;
    }
    if (error instanceof Refused && (error.status === 401 || error.status === 403)) {
      trouble(`${plural(count, "decision")} not stored yet: the page was served anew. Open the address that it printed; nothing is lost.`);
    } else {
      trouble(`No connection. ${plural(count, "decision")} ${count === 1 ? "waits" : "wait"} in this browser and will be stored once it is back; nothing is lost.`);
    }
    this.timer = setTimeout(() => this.send(), AGAIN[Math.min(this.failures++, AGAIN.length - 1)]);
    return false;
  }

  show() {
    const count = this.waiting.length;
    const place = byId("saved");
    place.textContent = count ? `Saving ${count}…` : "All saved";
    place.dataset.waiting = String(count);
  }
}

/** An id that nobody else makes up. */
export function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
