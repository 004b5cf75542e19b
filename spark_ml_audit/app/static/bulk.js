// Accepting in bulk: per tag and direction what is proved, and what it would take.

import { ask, newId, trouble } from "/static/api.js";
import { byId, make, number, percent, plural } from "/static/dom.js";
import { Outbox } from "/static/outbox.js";

const STEP = 60;
const WORDS = { missing: "to add", extraneous: "to remove" };
const state = { rows: [], shown: STEP };

/** "accept above p", in the words of the direction: surest removals have a low probability. */
function range(row) {
  return row.direction === "missing" ? `probability ${row.above.toFixed(3)} and above` : `probability ${(1 - row.above).toFixed(3)} and below`;
}

function proved(row) {
  if (!row.judged) return `about ${plural(row.needed, "decision")} needed`;
  if (!row.proved) return "nothing yet";
  return `${plural(row.proved, "flag")} with ${range(row)}`;
}

function line(row) {
  const judge = make("button", { type: "button", class: "button", onclick: (event) => draw(event, row), "aria-label": `Judge a blind sample of ${row.shown}, ${WORDS[row.direction]}` }, row.judged ? "Judge more" : "Judge blind");
  const accept = row.proved && row.acceptable
    ? make("button", { type: "button", class: "button primary", onclick: (event) => accepted(event, row) }, `Accept ${number(row.acceptable)}`) : null;
  return make("tr", {},
    make("th", { scope: "row", class: "text" }, make("bdi", {}, row.shown)),
    make("td", { "data-label": "Direction" }, make("span", { class: `chip ${row.direction === "missing" ? "add" : "cut"}` }, WORDS[row.direction])),
    make("td", { class: "num", "data-label": "Open flags" }, number(row.open)),
    make("td", { "data-label": "Judged blind" }, row.judged ? `${number(row.right)} right of ${number(row.judged)}` : "–"),
    make("td", { "data-label": "Proved" }, proved(row)),
    make("td", {}, make("div", { class: "row-of-buttons" }, judge, accept)));
}

async function draw(event, row) {
  event.currentTarget.disabled = true;
  try {
    const size = Math.min(Math.max(row.needed * 2, 60), 1000);
    const found = await ask("/api/draw", { how: "certify", tag: row.tag, direction: row.direction, size });
    location.assign(found.address);
  } catch (error) {
    trouble(error.message);
  }
}

async function accepted(event, row) {
  event.currentTarget.disabled = true;
  try {
    await ask("/api/accept", { tag: row.tag, direction: row.direction, bulk_id: newId() });
    trouble(null);
  } catch (error) {
    trouble(error.message);
  }
  await load();
}

async function takeBack(event, bulk) {
  event.currentTarget.disabled = true;
  try { await ask("/api/undo", { undo: [bulk.bulk_id] }); } catch (error) { trouble(error.message); }
  await load();
}

function show() {
  const wanted = byId("bulk-filter").value.trim().toLowerCase();
  const found = state.rows.filter((row) => row.shown.toLowerCase().includes(wanted));
  byId("bulk").replaceChildren(...found.slice(0, state.shown).map(line));
  byId("more").hidden = found.length <= state.shown;
  byId("bulk-status").textContent = `${number(Math.min(found.length, state.shown))} of ${number(found.length)}`;
}

async function load() {
  try {
    const found = await ask("/api/bulk");
    state.rows = found.rows;
    show();
    byId("accepted-section").hidden = !found.accepted.length;
    byId("accepted").replaceChildren(...found.accepted.map((bulk) => make("li", {},
      make("bdi", {}, bulk.shown), `: ${plural(bulk.cells, "flag")} accepted by `, make("bdi", {}, bulk.who || "somebody"), " ",
      make("button", { type: "button", onclick: (event) => takeBack(event, bulk) }, "Take back"))));
  } catch (error) {
    trouble(error.message);
  }
  document.documentElement.dataset.ready = "true";
}

new Outbox();
byId("bulk-filter").addEventListener("input", () => { state.shown = STEP; show(); });
byId("more").addEventListener("click", () => { state.shown += 5 * STEP; show(); });
load();
