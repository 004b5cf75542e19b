// One row on the page: its text, its tags as toggles, what is like it.

import { bar, byId, make, probability } from "/static/dom.js";

const SHORT = 6000;
const WORDS = { missing: "proposed to add", extraneous: "proposed to remove" };
const VERDICTS = { present: "applies", absent: "does not apply", unsure: "unsure", exclude: "excluded" };
const IMAGE = /^(https?:\/\/|\/|\.?\/?[\w-])[^\s]*\.(png|jpe?g|gif|webp|bmp|avif)(\?.*)?$/i;

/** How a tag stands when its row is shown: as decided, else as proposed, else as given. */
export function startOf(tag) {
  if (tag.stands === "present") return true;
  if (tag.stands === "absent") return false;
  if (tag.flag) return tag.flag === "missing";
  return tag.given;
}

export class Card {
  constructor(card, definitions, onToggle) {
    this.card = card;
    this.definitions = definitions;
    this.onToggle = onToggle;
    this.on = new Map(card.tags.map((tag) => [tag.tag, startOf(tag)]));
    this.touched = new Set();
    this.keys = [];
  }

  get tags() { return this.card.tags; }

  /** Tags to decide with what is shown: those asked about, those that were touched. */
  verdicts() {
    const wanted = this.tags.filter((tag) => tag.asked || this.touched.has(tag.tag));
    const named = wanted.length ? wanted : this.tags.filter((tag) => tag.given);
    return named.map((tag) => [tag.tag, this.on.get(tag.tag) ? "present" : "absent"]);
  }

  kept() {
    const asked = this.tags.filter((tag) => tag.asked);
    const named = asked.length ? asked : this.tags.filter((tag) => tag.given);
    return named.map((tag) => [tag.tag, tag.given ? "present" : "absent"]);
  }

  unsure() {
    const asked = this.tags.filter((tag) => tag.asked);
    const named = asked.length ? asked : this.tags.filter((tag) => tag.given);
    return named.map((tag) => [tag.tag, "unsure"]);
  }

  toggle(name) {
    this.on.set(name, !this.on.get(name));
    this.touched.add(name);
    this.showTags();
    this.onToggle?.();
  }

  add(tag) {
    if (!this.on.has(tag.tag)) {
      this.card.tags.push({ ...tag, prob: null, flag: null, asked: false, near: false, given: false, stands: null, disputed: false, votes: [], added: true });
    }
    this.on.set(tag.tag, true);
    this.touched.add(tag.tag);
    this.showTags();
    this.onToggle?.();
  }

  show() {
    byId("row-id").textContent = this.card.id;
    byId("row-marks").replaceChildren(...this.marks());
    byId("values").replaceChildren(...this.values());
    this.showLike();
    this.showTags();
  }

  marks() {
    const found = [];
    if (this.card.excluded) found.push(make("span", { class: "badge bad" }, "excluded"));
    if (this.card.done) found.push(make("span", { class: "badge good" }, "done"));
    if (this.card.blind) return found;
    if (this.card.ambiguity !== null) found.push(make("span", { class: "badge" }, "ambiguous"));
    if (this.card.outlier !== null) found.push(make("span", { class: "badge" }, "outlier"));
    return found;
  }

  values() {
    if (this.card.gone) return [make("p", { class: "muted" }, "The source has no such row any more at the version that was audited.")];
    return this.card.values.map(([name, text], place) => {
      const label = make("h3", { class: "column" }, make("bdi", {}, name));
      if (text === null) return make("div", {}, label, make("p", { class: "muted" }, "no value"));
      if (IMAGE.test(text)) return make("div", {}, label, picture(text, name));
      return make("div", {}, place ? label : make("div", { class: "hidden" }, label), longText(text, place === 0));
    });
  }

  showLike() {
    const like = this.card.like ?? [];
    byId("like").hidden = !like.length;
    byId("like-list").replaceChildren(...like.map((row) => make("li", {},
      make("p", { class: "text" }, make("strong", {}, make("bdi", {}, row.id)), " ", make("bdi", {}, row.text)),
      make("p", { class: "chips" },
        ...row.more.map((tag) => make("span", { class: "chip add" }, make("bdi", {}, tag))),
        ...row.fewer.map((tag) => make("span", { class: "chip cut" }, make("bdi", {}, tag))),
        row.more.length + row.fewer.length ? null : make("span", { class: "muted" }, "the same tags")))));
  }

  showTags() {
    const { question, blind } = this.card;
    const focused = document.activeElement?.dataset?.tag;
    this.keys = [];
    const lists = { proposed: [], given: [], near: [] };
    for (const tag of this.tags) {
      if (question && (tag.tag === question || !tag.given)) continue;
      const where = tag.flag || (tag.asked && !tag.given) ? "proposed" : tag.given ? "given" : "near";
      lists[question ? "given" : where].push(tag);
    }
    for (const [name, tags] of Object.entries(lists)) {
      byId(`${name}-block`).hidden = !tags.length;
      byId(name).classList.toggle("chips", Boolean(question));
      byId(name).replaceChildren(...tags.map((tag) => (question ? plainTag(tag) : this.toggleOf(tag))));
    }
    byId("given-h").textContent = question ? "Other tags it was given" : "Given";
    byId("question").hidden = !question;
    byId("add-block").hidden = Boolean(question);
    if (question) this.showQuestion(question, blind);
    if (focused !== undefined) document.querySelector(`[data-tag="${CSS.escape(focused)}"]`)?.focus();
  }

  /** What is proposed of the tag that is asked about: present, absent, or nothing. */
  get proposal() {
    const tag = this.tags.find((item) => item.tag === this.card.question);
    return { missing: "present", extraneous: "absent" }[tag?.flag] ?? null;
  }

  showQuestion(question, blind) {
    const tag = this.tags.find((item) => item.tag === question);
    const told = this.definitions.get(question);
    const words = { missing: "Not given; the model would add it", extraneous: "Given; the model would remove it" };
    const said = blind || !tag?.flag ? null : `${words[tag.flag]} (probability ${probability(tag.prob)})`;
    const parts = [
      make("span", {}, "Does ", make("strong", {}, make("bdi", {}, tag?.shown ?? question)), " apply?"),
      told ? make("span", { class: "definition" }, make("bdi", {}, told)) : null,
      said ? make("span", { class: `proposal ${tag.flag === "missing" ? "add" : "cut"}` }, said) : null,
      tag?.votes.length && !blind ? make("span", { class: "votes" }, votesOf(tag)) : null,
    ];
    byId("question").replaceChildren(...parts.filter(Boolean));
  }

  toggleOf(tag) {
    const on = this.on.get(tag.tag);
    const key = this.keys.length < 9 ? String(this.keys.push(tag.tag)) : null;
    const kind = tag.flag === "missing" ? "add" : tag.flag === "extraneous" ? "cut" : "plain";
    const told = [tag.shown, WORDS[tag.flag] ?? (tag.given ? "given" : tag.added ? "added" : "not given"),
      tag.prob === null ? null : `probability ${probability(tag.prob)}`].filter(Boolean).join(", ");
    const about = this.definitions.get(tag.tag);
    const button = make("button", {
      type: "button", class: `toggle ${kind}`, role: "switch", "aria-checked": String(on), "aria-label": told,
      "aria-keyshortcuts": key, "data-tag": tag.tag, onclick: () => this.toggle(tag.tag),
    },
    make("kbd", { "aria-hidden": "true" }, key ?? ""),
    make("span", { class: "box", "aria-hidden": "true" }, on ? "✓" : ""),
    make("span", { class: "name" }, tag.flag ? make("span", { class: "sign", "aria-hidden": "true" }, tag.flag === "missing" ? "+" : "−") : null,
      make("bdi", {}, tag.shown)),
    tag.prob === null ? null : make("span", { class: "prob", "aria-hidden": "true" }, bar(tag.prob, kind), make("span", {}, probability(tag.prob))));
    return make("li", {}, button,
      about ? make("p", { class: "definition" }, make("bdi", {}, about)) : null,
      tag.votes.length ? make("p", { class: "votes" }, votesOf(tag)) : null);
  }
}

function votesOf(tag) {
  const said = tag.votes.map((vote) => `${vote.who}: ${VERDICTS[vote.verdict] ?? vote.verdict}${vote.note ? ` (${vote.note})` : ""}`);
  return `${tag.disputed ? "Disputed. " : ""}${said.join("; ")}`;
}

const plainTag = (tag) => make("li", { class: "given-tag" }, make("span", { class: "chip" }, make("bdi", {}, tag.shown)));

/** A text; a very long one is cut, and shown whole when asked. */
function longText(text, isFirst) {
  const kind = isFirst ? "text body" : "text";
  if (text.length <= SHORT) return make("p", { class: kind }, text);
  const shown = make("p", { class: kind }, `${text.slice(0, SHORT)}…`);
  const more = make("button", { type: "button", class: "link", onclick: () => { shown.textContent = text; more.remove(); } },
    `Show all ${text.length.toLocaleString("en-US")} characters`);
  return make("div", {}, shown, more);
}

/** A picture, from here or from a host that the policy of the page allows; else its address. */
function picture(address, name) {
  const source = /^https?:/i.test(address) ? address : `/image?name=${encodeURIComponent(address)}`;
  const image = make("img", { src: source, alt: `${name} of this row`, class: "picture", loading: "eager" });
  image.addEventListener("error", () => image.replaceWith(make("p", { class: "text muted" }, address)));
  return image;
}
