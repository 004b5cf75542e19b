// Correcting, taking back, auditing again: what would change, what was done, what is running.

import { ask, openNewest, trouble } from "/static/api.js";
import { byId, make, number, percent, plural } from "/static/dom.js";
import { Outbox } from "/static/outbox.js";

const WAIT = 700;
const NAMES = { correct: "Correction", undo: "Taking back", audit: "Audit" };

const chip = (kind) => (tag) => make("span", { class: `chip ${kind}` }, make("bdi", {}, tag));

function showChanges(found) {
  const some = found.some.map((row) => make("tr", {},
    make("th", { scope: "row", class: "text" }, make("bdi", {}, row.id), make("br"), make("span", { class: "muted" }, make("bdi", {}, row.text))),
    make("td", { class: "text tags" }, make("div", { class: "chips" }, ...row.added.map(chip("add")), ...row.removed.map(chip("cut")), ...row.kept.map(chip(""))))));
  byId("changes").replaceChildren(
    make("p", {}, make("strong", {}, `${plural(found.rows, "row")} would change`), `: ${plural(found.added, "tag")} added, ${plural(found.removed, "tag")} removed`,
      found.excluded ? `; ${plural(found.excluded, "excluded row")} left out of a copy` : "", "."),
    found.excluded ? make("p", { class: "muted" }, `Correcting the table itself removes no row: the excluded ones stay, and ${plural(found.merge.rows, "row")} would change.`) : "",
    found.classes.length ? make("p", { class: "muted" }, found.classes.slice(0, 12).map((row) => `${row.tag} (+${number(row.added)}, −${number(row.removed)})`).join(", ")) : null ?? "",
    some.length ? make("div", { class: "scroll" }, make("table", { class: "stack" }, make("caption", { class: "hidden" }, "Some of the rows"), make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "Row"), make("th", { scope: "col" }, "Tags afterwards"))), make("tbody", {}, ...some))) : "");
  byId("copy").disabled = !found.rows && !found.excluded;
  byId("merge").disabled = !found.merge.rows;
}

function result(job) {
  const found = job.result;
  if (job.state === "failed") return make("p", { class: "alert" }, job.error);
  if (job.state !== "done") return make("p", { class: "muted" }, "At work…");
  if (job.name === "audit") return audited(found);
  const buttons = [];
  if (job.name === "correct") {
    buttons.push(make("button", { type: "button", onclick: () => start({ name: "audit", ...(found.mode === "copy" && { target: found.target }) }) }, found.mode === "copy" ? "Audit the copy" : "Audit again"));
    buttons.push(make("button", { type: "button", onclick: () => start({ name: "undo", undo: found.correction_id }) }, "Take back"));
  }
  return make("div", {},
    make("p", {}, `${plural(found.num_rows_changed, "row")} changed: ${number(found.num_tags_added)} tags added, ${number(found.num_tags_removed)} removed`,
      found.num_stale ? `; ${plural(found.num_stale, "row")} changed since the audit, left alone` : "",
      found.num_excluded ? `; ${plural(found.num_excluded, "excluded row")} left out` : "", found.num_restored ? `; ${plural(found.num_restored, "row")} put back` : "", ". ", make("bdi", {}, found.target ?? "")),
    ...(found.warnings ?? []).map((said) => make("p", { class: "muted" }, said)),
    make("div", { class: "row-of-buttons" }, ...buttons));
}

function audited(found) {
  const line = (name, before, now) => make("tr", {}, make("th", { scope: "row" }, name), make("td", { class: "num" }, before), make("td", { class: "num" }, now));
  const { before } = found;
  return make("div", {},
    make("table", {}, make("caption", { class: "hidden" }, "Before and after"), make("thead", {}, make("tr", {}, make("th", { scope: "col" }, ""), make("th", { scope: "col", class: "num" }, "before"), make("th", { scope: "col", class: "num" }, "now"))), make("tbody", {},
      line("Health", percent(before.health, 2), percent(found.health, 2)),
      line("Rows with an issue", number(before.num_label_issues), number(found.num_label_issues)),
      line("Missing tags", number(before.num_missing_tags), number(found.num_missing_tags)),
      line("Extraneous tags", number(before.num_extraneous_tags), number(found.num_extraneous_tags)))),
    found.cells ? make("p", {}, `Flags: ${number(found.cells.fixed)} fixed, ${number(found.cells.still_open)} still open, ${number(found.cells.newly_flagged)} new.`) : null,
    make("div", { class: "row-of-buttons" }, make("button", { type: "button", onclick: openNewest }, "Review this audit")));
}

async function start(body) {
  try { await ask("/api/jobs", body); trouble(null); } catch (error) { trouble(error.message); }
  await showJobs();
}

async function showJobs() {
  const jobs = await ask("/api/jobs");
  if (jobs.length) {
    byId("jobs").replaceChildren(...jobs.map((job) => make("li", {},
      make("strong", {}, NAMES[job.name] ?? job.name), " ", make("span", { class: `badge ${job.state === "done" ? "good" : job.state === "failed" ? "bad" : "warn"}` }, job.state),
      make("span", { class: "muted" }, ` ${job.who}${job.seconds ? `, ${job.seconds} s` : ""}`), result(job))));
  }
  byId("jobs").dataset.state = jobs[0]?.state ?? "";
  if (jobs.some((job) => job.state === "waiting" || job.state === "running")) setTimeout(() => showJobs().catch(() => {}), WAIT);
}

byId("copy").addEventListener("click", () => start({ name: "correct", mode: "copy" }));
byId("merge").addEventListener("click", () => byId("sure").showModal());
byId("sure").addEventListener("close", () => { if (byId("sure").returnValue === "yes") start({ name: "correct", mode: "merge" }); });

async function load() {
  const outbox = new Outbox();
  await outbox.send();
  try {
    const found = await ask("/api/changes");
    showChanges(found);
    await showJobs();
  } catch (error) {
    trouble(error.message);
  }
  document.documentElement.dataset.ready = "true";
}

load();
