// The review page: one item after the other, decided by keys or buttons.

import { Refused, ask, newId, trouble } from "/static/api.js";
import { Card } from "/static/card.js";
import { byId, make, number, percent } from "/static/dom.js";
import { listen } from "/static/keys.js";
import { AWAY, Outbox } from "/static/outbox.js";

const FILTERS = ["direction", "tag", "view", "order", "state"];
const HISTORY = `label-review-done:${document.body.dataset.run}:${document.body.dataset.who}`;
const AGAIN = 2000;

const state = { filter: new URLSearchParams(location.search), card: null, at: -1, total: 0, open: 0, ahead: null, asking: 0, definitions: new Map(), tags: new Map() };
const outbox = new Outbox((item, stored) => {
  if (stored.saved) remember(item.body, stored.saved);
});

// ---- what was decided here, for undo --------------------------------------------------------------

function history() {
  try { return JSON.parse(sessionStorage.getItem(HISTORY)) ?? []; } catch { return []; }
}

function keep(list) {
  sessionStorage.setItem(HISTORY, JSON.stringify(list.slice(-200)));
  byId("undo").disabled = !list.length;
}

function remember(body, saved) {
  keep(history().map((step) => (step.name === body.decision_id ? { ...step, saved } : step)));
}

// ---- items ----------------------------------------------------------------------------------------

const address = (more) => {
  const query = new URLSearchParams(state.filter);
  for (const [key, value] of Object.entries(more)) query.set(key, value);
  return `/api/item?${query}`;
};

/** Ask for an item until there is an answer: a lost connection is waited for. */
async function item(more) {
  for (;;) {
    try {
      const found = await ask(address(more));
      if (!outbox.waiting.length) trouble(null);
      return found;
    } catch (error) {
      if (error instanceof Refused && ![401, ...AWAY].includes(error.status)) throw error;
      trouble(error instanceof Refused ? error.message : "No connection. What was decided waits in this browser; nothing is lost.");
      await new Promise((resume) => setTimeout(resume, AGAIN));
    }
  }
}

async function go(more, found) {
  const own = ++state.asking;
  byId("desk").setAttribute("aria-busy", "true");
  try {
    const answer = found ?? await item(more);
    if (own === state.asking) show(answer);
  } catch (error) {
    if (own === state.asking) nothing(error.message);
  }
}

function show(answer) {
  state.total = answer.total;
  state.open = answer.open;
  state.ahead = null;
  byId("desk").removeAttribute("aria-busy");
  showScope();
  if (!answer.card) {
    state.card = null;
    nothing(answer.total ? null : "No row is like this.");
    return;
  }
  byId("empty").hidden = true;
  byId("desk").hidden = byId("actions").hidden = false;
  state.at = answer.card.at;
  state.card = new Card(answer.card, state.definitions, label);
  state.card.show();
  byId("note").value = "";
  byId("note-block").open = false;
  label();
  progress();
  scrollTo({ top: 0 });
  document.documentElement.dataset.at = String(state.at);
  document.documentElement.dataset.ready = "true";
  lookAhead();
}

/** Ask for what comes next while this one is read. */
function lookAhead() {
  const at = state.at;
  const found = item({ after: at }).catch(() => null);
  state.ahead = { at, found };
}

function nothing(message) {
  state.card = null;
  byId("desk").hidden = byId("actions").hidden = true;
  byId("desk").removeAttribute("aria-busy");
  const empty = byId("empty");
  empty.hidden = false;
  empty.replaceChildren(
    make("h2", { tabIndex: -1 }, message ?? "All done here."),
    make("p", { class: "muted" }, message ? "" : `${number(state.total)} of ${number(state.total)} decided.`),
    make("p", {}, make("a", { href: "/" }, "Choose another queue"), " or ", make("a", { href: "/finish" }, "correct the table"), "."));
  progress();
  document.documentElement.dataset.ready = "true";
}

function progress() {
  const done = state.total - state.open;
  const line = state.card ? `Row ${number(state.at + 1)} of ${number(state.total)} · ${number(done)} done` : `${number(done)} of ${number(state.total)} done`;
  byId("position").textContent = state.card?.card.question ? line.replace("Row", "Tag") : line;
  const bar = byId("bar");
  bar.max = Math.max(1, state.total);
  bar.value = done;
}

/** What the accept button would do, as the toggles stand. */
function label() {
  const { card } = state;
  const asks = Boolean(card.card.question);
  byId("accept-label").textContent = card.touched.size ? "Save as shown" : card.tags.some((tag) => tag.flag) ? "Accept proposed" : "Confirm as given";
  byId("yes").hidden = byId("no").hidden = !asks;
  byId("accept").hidden = byId("keep").hidden = asks;
  byId("yes").classList.toggle("likely", card.proposal === "present");
  byId("no").classList.toggle("likely", card.proposal === "absent");
  byId("exclude").firstChild.textContent = card.card.excluded ? "Include row " : "Exclude row ";
}

// ---- deciding -------------------------------------------------------------------------------------

function send(body, said) {
  if (!state.card) return;
  const card = state.card.card;
  const name = newId();
  const note = byId("note").value.trim();
  const whole = { decision_id: name, id: card.id, when: new Date().toISOString(), ...(note && { note }), ...context(), ...body };
  keep([...history(), { name, at: state.at, query: String(state.filter) }]);
  const stored = outbox.put("/api/decisions", whole);
  byId("said").textContent = `${said}. `;
  next(stored, !card.done);
}

function context() {
  const sample = state.filter.get("sample");
  return {
    ...(sample && { sample }),
    ...(state.filter.get("state") === "disputed" && { adjudicated: true }),
  };
}

async function next(stored, isNew) {
  const { at, ahead } = state;
  const rest = Math.max(0, state.open - (isNew ? 1 : 0));
  const follows = ["all", "done"].includes(state.filter.get("state")) || state.filter.get("row");
  if (follows) {
    await stored;
    return go({ at: Math.min(at + 1, Math.max(0, state.total - 1)) });
  }
  const known = ahead && ahead.at === at ? await ahead.found : null;
  if (known?.card && known.card.at > at && state.filter.get("state") !== "disputed") return go({}, { ...known, open: rest });
  await stored; // the next one lies before this one, or nowhere: the server has to know first
  return go({ after: at });
}

const decide = {
  accept: () => propose((card) => card.verdicts(), "Accepted"),
  keep: () => propose((card) => card.kept(), "Kept as given"),
  unsure: () => state.card && save(state.card.unsure(), "Unsure"),
  yes: () => answer("present", "Yes"),
  no: () => answer("absent", "No"),
  exclude: () => state.card && send({ row: state.card.card.excluded ? "include" : "exclude" }, "Excluded"),
};

/** Enter and K: where nothing is proposed, as of what is judged blind, they do nothing. */
function propose(cells, said) {
  if (state.card && !(state.card.card.question && !state.card.proposal)) save(cells(state.card), said);
}

function save(cells, said) {
  if (cells.length) return send({ cells }, said);
  return next(Promise.resolve(), false); // a row without any tag: there is nothing to say of it
}

function answer(verdict, said) {
  if (state.card?.card.question) send({ cells: [[state.card.card.question, verdict]] }, said);
}

async function undo() {
  const steps = history();
  const last = steps.pop();
  if (!last) return;
  keep(steps);
  byId("said").textContent = "Taken back. ";
  if (!outbox.drop(last.name)) {
    if (!last.saved) await outbox.send();
    const ids = last.saved ?? Array.from({ length: 50 }, (_, place) => `${last.name}.${place}`);
    await outbox.put("/api/undo", { decision_id: newId(), undo: ids });
  }
  if (last.query === String(state.filter)) await go({ at: last.at });
  else location.assign(`/review?${last.query}`);
}

// ---- filters --------------------------------------------------------------------------------------

function showFilters() {
  for (const name of FILTERS) {
    const field = byId(`f-${name}`);
    field.value = state.filter.get(name) ?? (field.options ? field.options[0].value : "");
  }
  if (state.filter.get("blind") || state.filter.get("kind") === "sample") for (const name of ["view", "order"]) byId(`f-${name}`).parentElement.hidden = true;
}

function showScope() {
  const said = [];
  const get = (key) => state.filter.get(key);
  if (get("blind")) said.push("Blind: flags and probabilities are hidden");
  if (get("kind") && get("kind") !== "flagged") said.push({ ambiguous: "Ambiguous rows", outlier: "Outliers", duplicate: "Near-duplicates whose tags differ", sample: "A drawn sample" }[get("kind")] ?? get("kind"));
  if (get("instead")) said.push(`beside the given tag ${get("instead")}`);
  if (get("low") || get("high")) said.push(`probability ${percent(Number(get("low") ?? 0))} to ${percent(Number(get("high") ?? 1))}`);
  if (get("row")) said.push(`Row ${get("row")}`);
  if (get("group")) said.push("One group of near-duplicates");
  byId("scope").hidden = !said.length;
  byId("scope").replaceChildren(make("bdi", {}, said.join(" · ")), " ", make("a", { href: "/review" }, "Clear"));
}

function refilter(event) {
  const field = event.target;
  const value = field.value.trim();
  if (field.name === "tag" && value && !state.tags.has(value)) return;
  if (value && !(field.options && field.options[0].value === value)) state.filter.set(field.name, value);
  else state.filter.delete(field.name);
  window.history.replaceState(null, "", `/review${state.filter.size ? `?${state.filter}` : ""}`);
  field.blur();
  go({});
}

async function loadTags() {
  const classes = await ask("/api/classes");
  state.tags = new Map(classes.map((row) => [row.tag, row]));
  state.definitions = new Map(classes.filter((row) => row.definition).map((row) => [row.tag, row.definition]));
  byId("all-tags").replaceChildren(...classes.map((row) => make("option", { value: row.tag })));
  if (state.card) { state.card.definitions = state.definitions; state.card.showTags(); }
}

function addTag(event) {
  const tag = state.tags.get(event.target.value.trim());
  if (!tag || !state.card) return;
  state.card.add(tag);
  event.target.value = "";
  event.target.blur();
}

function start() {
  if (matchMedia("(max-width: 44rem)").matches) byId("filter-box").open = false;
  showFilters();
  keep(history());
  for (const name of FILTERS) byId(`f-${name}`).addEventListener("change", refilter);
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  for (const name of ["accept", "keep", "unsure", "yes", "no", "exclude"]) byId(name).addEventListener("click", () => { byId(name).blur(); decide[name](); });
  byId("undo").addEventListener("click", undo);
  const step = (by) => { const to = state.at + by; if (to >= 0 && to < state.total) go({ at: to }); };
  byId("back").addEventListener("click", () => step(-1));
  byId("ahead").addEventListener("click", () => step(1));
  byId("add").addEventListener("change", addTag);
  byId("add").addEventListener("keydown", (event) => { if (event.key === "Enter") addTag(event); });
  listen({
    digit: (key) => { const name = state.card?.keys[Number(key) - 1]; if (name !== undefined) state.card.toggle(name); },
    enter: decide.accept, k: decide.keep, u: decide.unsure, e: decide.exclude, y: decide.yes, n: () => (state.card?.card.question ? decide.no() : openNote()),
    z: undo, arrowleft: () => step(-1), arrowright: () => step(1), a: () => byId("add").focus(), "/": () => byId("f-tag").focus(),
  });
  loadTags().catch(() => setTimeout(loadTags, AGAIN));
  go({});
}

function openNote() {
  byId("note-block").open = true;
  byId("note").focus();
}

start();
