// The overview: how far the review is, and every way into a queue.

import { ask, trouble } from "/static/api.js";
import { bar, byId, make, number, percent, plural, precision } from "/static/dom.js";
import { Outbox } from "/static/outbox.js";

const STEP = 100;
const WORDS = { missing: ["Tags to add", "add"], extraneous: ["Tags to remove", "cut"] };
const state = { classes: [], shown: STEP };

function figure(found) {
  const [title, kind] = WORDS[found.direction];
  const share = found.cells ? found.done / found.cells : 0;
  return make("div", { class: "figure-card" },
    make("h3", {}, title),
    make("p", { class: "big" }, number(found.done), make("small", {}, ` of ${number(found.cells)} decided`)),
    bar(share, kind),
    make("p", {}, found.judged ? `Flags ${precision(found)}` : "No flag judged yet"));
}

function showProgress(found) {
  byId("figures").replaceChildren(...found.directions.map(figure),
    make("div", { class: "figure-card" },
      make("h3", {}, "Decided by you"),
      make("p", { class: "big" }, number(found.mine), make("small", {}, found.mine === 1 ? " tag" : " tags")),
      make("p", {}, [found.excluded ? `${plural(found.excluded, "row")} excluded` : null, found.disputed ? `${plural(found.disputed, "tag")} disputed` : null].filter(Boolean).join(", ") || "Stored at once; leave whenever you like")));
  byId("q-disputed").hidden = !found.disputed;
  byId("q-disputed-count").textContent = `${plural(found.disputed, "tag")} of which people differ: settle them`;
  byId("people-section").hidden = found.people.length < 2;
  byId("people").replaceChildren(...found.people.map(([name, count]) => make("li", {}, make("bdi", {}, name), `: ${plural(count, "tag")} decided`)));
}

const within = (value, low, high, show) => (value === null ? "–" : `${show(value)} (${show(low)} to ${show(high)})`);

function showAgreement(found) {
  byId("agreement").hidden = !found.length;
  byId("agreement-rows").replaceChildren(...found.map((row) => make("tr", {},
    make("th", { scope: "row", class: "text" }, row.tag === null ? "All tags" : make("bdi", {}, row.tag)),
    make("td", { class: "num" }, number(row.cells)),
    make("td", {}, within(row.percent, row.percent_low, row.percent_high, percent)),
    make("td", {}, within(row.ac1, row.ac1_low, row.ac1_high, (value) => value.toFixed(2))))));
}

function side(row, direction) {
  const found = row[direction];
  if (!found.cells) return [make("td", { class: "muted", "data-label": WORDS[direction][0] }, "none"), make("td", { class: "muted", "data-label": "Right so far" }, "")];
  const query = new URLSearchParams({ tag: row.tag, direction, view: "cell", order: "surest" });
  return [
    make("td", { "data-label": WORDS[direction][0] }, make("a", { href: `/review?${query}`, "aria-label": `Review ${WORDS[direction][0].toLowerCase()}: ${row.shown}` }, bar(found.done / found.cells, WORDS[direction][1]), `${number(found.done)} / ${number(found.cells)}`)),
    make("td", { "data-label": "Right so far" }, found.judged ? `${percent(found.precision)} of ${number(found.judged)}` : "–"),
  ];
}

function showClasses() {
  const wanted = byId("class-filter").value.trim().toLowerCase();
  const found = state.classes.filter((row) => row.shown.toLowerCase().includes(wanted));
  byId("classes").replaceChildren(...found.slice(0, state.shown).map((row) => make("tr", {},
    make("th", { scope: "row", class: "text" }, make("a", { href: `/review?${new URLSearchParams({ tag: row.tag })}` }, make("bdi", {}, row.shown)),
      row.definition ? make("span", { class: "definition" }, make("br"), make("bdi", {}, row.definition)) : null),
    make("td", { class: "num", "data-label": "Given" }, number(row.given)),
    ...side(row, "missing"), ...side(row, "extraneous"),
    make("td", { "data-label": "Trust" }, row.trust ?? "–"))));
  byId("more").hidden = found.length <= state.shown;
  byId("class-status").textContent = `${number(Math.min(found.length, state.shown))} of ${number(found.length)}`;
}

async function draw(event) {
  const button = event.currentTarget;
  button.disabled = true;
  byId("draw-said").textContent = "Drawing the sample…";
  try {
    const found = await ask("/api/draw", { how: button.dataset.draw, size: 100 });
    location.assign(found.address);
  } catch (error) {
    byId("draw-said").textContent = error.message;
    button.disabled = false;
  }
}

async function start() {
  new Outbox(); // what another page could not send
  for (const button of document.querySelectorAll("[data-draw]")) button.addEventListener("click", draw);
  byId("class-filter").addEventListener("input", () => { state.shown = STEP; showClasses(); });
  byId("more").addEventListener("click", () => { state.shown += 5 * STEP; showClasses(); });
  try {
    const [progress, classes] = await Promise.all([ask("/api/progress"), ask("/api/classes")]);
    const flags = (row) => row.missing.cells + row.extraneous.cells;
    state.classes = classes.sort((a, b) => flags(b) - flags(a));
    showProgress(progress);
    showClasses();
    if (progress.people.length > 1) showAgreement(await ask("/api/agreement"));
  } catch (error) {
    trouble(`The page could not be filled: ${error.message}`);
  }
  document.documentElement.dataset.ready = "true";
}

start();
