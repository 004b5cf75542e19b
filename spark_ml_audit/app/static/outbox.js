// Decisions are kept in this browser until the server has said that they are stored.

import { RUN, Refused, ask, trouble } from "/static/api.js";
import { Aside } from "/static/aside.js";
import { byId, plural } from "/static/dom.js";

const WHO = document.body.dataset.who;
const KEY = `label-review:${RUN}:${WHO}`;
const AGAIN = [1000, 2000, 5000, 10000];
/** What a proxy says while the server behind it is away, or has too much to do. */
export const AWAY = [408, 425, 429, 502, 503, 504];

/** What is sent, one after the other, kept across reloads and lost connections. */
export class Outbox {
  constructor(onStored) {
    this.onStored = onStored;
    this.failures = 0;
    this.sending = false;
    this.timer = null;
    this.aside = new Aside((items) => { this.waiting = [...this.waiting, ...items]; return this.send(); }, () => this.show());
    addEventListener("online", () => this.send());
    // another window of the same person may have sent some of them
    addEventListener("storage", (event) => { if (event.key === KEY) this.show(); });
    this.gatherOthers();
    this.aside.again();
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
    this.waiting = [...this.waiting, { address, body: { run_id: RUN, ...body } }];
    return this.send();
  }

  /** Drop what was not stored yet; whether it was there. */
  drop(name) {
    const kept = this.waiting.filter((item) => item.body.decision_id !== name);
    const found = kept.length < this.waiting.length && !(this.sending && this.waiting[0].body.decision_id === name);
    if (found) this.waiting = kept;
    return found || this.aside.drop(name);
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

  /** Whether to go on with the next one after a failure: only a lost connection keeps the others back. */
  lives(error, first) {
    const count = this.waiting.length;
    const status = error instanceof Refused ? error.status : 0;
    if (status === 401 || status === 403) {
      trouble(`${plural(count, "decision")} not stored yet: the page was served anew. Open the address that it printed; nothing is lost.`);
    } else if (status < 400 || AWAY.includes(status)) {
      trouble(`No connection. ${plural(count, "decision")} ${count === 1 ? "waits" : "wait"} in this browser and will be stored once it is back; nothing is lost.`);
    } else {
      this.failures = 0;
      this.done(first);
      this.aside.put(first, status, error.message);
      trouble(null);
      return true;
    }
    this.timer = setTimeout(() => this.send(), AGAIN[Math.min(this.failures++, AGAIN.length - 1)]);
    return false;
  }

  /** What pages of other audits could not send any more is set aside, not forgotten. */
  gatherOthers() {
    for (const key of Object.keys(localStorage)) {
      if (!key.startsWith("label-review:") || !key.endsWith(`:${WHO}`) || key === KEY) continue;
      const run = key.slice("label-review:".length, -WHO.length - 1);
      let items = [];
      try { items = JSON.parse(localStorage.getItem(key)) ?? []; } catch { /* nothing that could be kept */ }
      for (const item of items) this.aside.put({ ...item, body: { run_id: run, ...item.body } }, 409, "They were not sent before another audit was served here.");
      localStorage.removeItem(key);
    }
  }

  show() {
    const count = this.waiting.length;
    const kept = this.aside?.items.length ?? 0;
    const place = byId("saved");
    place.textContent = count ? `Saving ${count}…` : kept ? `${kept} not stored` : "All saved";
    place.dataset.waiting = String(count + kept);
  }
}
