// Decisions that the server did not store: kept, to be tried again, downloaded or discarded.

import { RUN } from "/static/api.js";
import { byId, make, plural } from "/static/dom.js";

const WHO = document.body.dataset.who;
const KEY = `label-review-aside:${WHO}`;
const COLUMNS = ["id", "tag", "verdict", "who", "when", "note", "sample_id", "decision_id", "kind", "bulk_id", "undoes"];

const runOf = (item) => item.body.run_id ?? RUN;

export class Aside {
  constructor(send, changed) {
    this.send = send;
    this.changed = changed;
    addEventListener("storage", (event) => { if (event.key === KEY) this.show(); });
    this.show();
  }

  get items() {
    try { return JSON.parse(localStorage.getItem(KEY)) ?? []; } catch { return []; }
  }

  set items(list) {
    if (list.length) localStorage.setItem(KEY, JSON.stringify(list));
    else localStorage.removeItem(KEY);
    this.show();
  }

  put({ address, body }, status, said) {
    this.items = [...this.items, { address, body, status, said }];
  }

  /** Drop a decision; whether it was here. */
  drop(name) {
    const kept = this.items.filter((item) => item.body.decision_id !== name);
    const found = kept.length < this.items.length;
    if (found) this.items = kept;
    return found;
  }

  /** Once a page is opened: what another audit, or a server in trouble, kept back may be stored now. */
  again() {
    this.retry((item) => runOf(item) === RUN && (item.status === 409 || item.status >= 500));
  }

  retry(wanted) {
    const again = this.items.filter(wanted);
    if (!again.length) return;
    this.items = this.items.filter((item) => !wanted(item));
    this.send(again.map(({ address, body }) => ({ address, body })));
  }

  show() {
    const place = byId("aside");
    const runs = [...new Set(this.items.map(runOf))];
    place.hidden = !runs.length;
    place.replaceChildren(...runs.map((run) => this.line(run, this.items.filter((item) => runOf(item) === run))));
    this.changed();
  }

  line(run, items) {
    const isOther = run !== RUN;
    const isStale = !isOther && items.some((item) => item.status === 409);
    const button = (said, onclick) => make("button", { type: "button", class: "button", onclick }, said);
    const name = `set-aside-${run}.csv`;
    const command = `${document.body.dataset.decide.replace("set-aside.csv", name)} --run ${run}`;
    return make("div", {},
      make("p", {}, isOther
        ? `${plural(items.length, "decision")} of audit ${run} not stored, kept in this browser: another audit is served now.`
        : `${plural(items.length, "decision")} not stored, kept in this browser: `,
        isOther ? null : make("bdi", {}, items.at(-1).said)),
      isOther || isStale ? make("details", {},
        make("summary", {}, "File under the audit that was judged"),
        make("p", {}, "Download, then run: ", make("code", {}, command))) : null,
      make("div", { class: "row-of-buttons" },
        isStale ? button("Reload", () => location.reload()) : null,
        button("Try again", () => this.retry((item) => runOf(item) === run)),
        button("Download", () => download(name, items)),
        button("Discard", () => {
          if (confirm(`Discard ${plural(items.length, "decision")} for good?`)) this.items = this.items.filter((item) => runOf(item) !== run);
        })));
  }
}

// ---- as a file that the command `decide` reads ------------------------------------------------------

/** A cell that no spreadsheet runs, as `reviewing/spreadsheet.py` writes it. */
function cell(value) {
  const inner = String(value ?? "").replace(/([;|\t\r\n][ "]*)(?=[=+\-@\uff1d\uff0b\uff0d\uff20'])/g, "$1'");
  const text = /^[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20']/.test(inner) ? `'${inner}` : inner;
  return `"${text.replaceAll('"', '""')}"`;
}

function lines({ address, body }) {
  const shared = { id: body.id, who: WHO, when: body.when, note: body.note, sample_id: body.sample };
  if (address === "/api/undo") return body.undo.map((name) => ({ who: WHO, kind: "undo", decision_id: `undo-${name}`, undoes: name }));
  if (body.row) return [{ ...shared, verdict: body.row, kind: "row", decision_id: `${body.decision_id}.0` }];
  return body.cells.map(([tag, verdict], place) => ({
    ...shared, tag, verdict, kind: body.adjudicated ? "adjudicated" : "single", decision_id: `${body.decision_id}.${place}`,
  }));
}

function download(name, items) {
  const rows = items.flatMap(lines).map((row) => COLUMNS.map((column) => cell(row[column])).join(","));
  const content = `\ufeff${[COLUMNS.join(","), ...rows].join("\r\n")}\r\n`;
  const link = make("a", { href: URL.createObjectURL(new Blob([content], { type: "text/csv" })), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
