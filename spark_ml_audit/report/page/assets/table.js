"use strict";
// Tables that search, sort and turn pages. All texts are set as text, never as markup.
const auditPage = (() => {
  const payload = JSON.parse(document.getElementById("payload").textContent);

  function element(name, attributes = {}, ...children) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) {
      if (value === null || value === undefined || value === false) continue;
      if (key === "class") made.className = value;
      else if (key === "onclick") made.addEventListener("click", value);
      else made.setAttribute(key, value === true ? "" : value);
    }
    made.append(...children.filter((child) => child !== null && child !== undefined));
    return made;
  }

  const whole = new Intl.NumberFormat("en-US");
  const number = (value) => (value === null || value === undefined ? "–" : whole.format(value));
  const fixed = (value, digits = 3) => (value === null || value === undefined ? "–" : value.toFixed(digits));
  const percent = (value) =>
    value === null || value === undefined ? "–" : `${(100 * value).toFixed(2)}%`;
  // A cut-off as it works: 0.5 itself is never flagged, either way.
  const cutOff = (value, upwards) =>
    value === 0.5 ? `${upwards ? "above" : "below"} 0.5` : `${upwards ? "from" : "up to"} ${value.toPrecision(3)}`;
  const fold = (text) => String(text).normalize("NFKC").toLowerCase();

  function compare(a, b) {
    const none = (value) => value === null || value === undefined;
    if (none(a) || none(b)) return none(a) - none(b);
    if (typeof a === "number" && typeof b === "number") return a - b;
    return a < b ? -1 : a > b ? 1 : 0;
  }

  // ---- lists as files --------------------------------------------------------------------------------
  // A cell of a spreadsheet that begins so may run as a formula.
  const FORMULA = /^[=+\-@\t\r]/;
  function csvCell(value) {
    if (value === null || value === undefined) return "";
    if (typeof value === "number") return String(value);
    const text = FORMULA.test(value) ? `'${value}` : String(value);
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  }
  // A column may give several: [[label, value(row)], ...]
  function csvText(columns, rows) {
    const parts = columns.flatMap((column) => Array.isArray(column.csv) ? column.csv : [[column.label, column.csv ?? column.value]]);
    const lines = [parts.map(([label]) => csvCell(label)), ...rows.map((row) => parts.map(([, value]) => csvCell(value(row))))];
    return `\ufeff${lines.map((line) => `${line.join(",")}\r\n`).join("")}`;
  }
  function download(name, text) {
    const address = URL.createObjectURL(new Blob([text], { type: "text/csv;charset=utf-8" }));
    const link = element("a", { href: address, download: name });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(address), 10_000);
  }

  // ---- a tag clicked anywhere ------------------------------------------------------------------------
  const listeners = [];
  const onTag = (listener) => listeners.push(listener);
  const tagChosen = (tag) => listeners.forEach((listener) => listener(tag));

  // The command serve shows this page at /report: rows, tags and bars lead to where they are decided then.
  const served = location.pathname === "/report" && location.protocol.startsWith("http");
  const queue = (asked) => (served ? `/queue?${new URLSearchParams(asked)}` : undefined);
  const linked = (asked, title, ...children) => element("a", { href: queue(asked), title }, ...children);

  let made = 0;

  // columns: {label, value(row), cell(row) -> node or text, csv(row), kind: "num" | "text", header, long, more, title}
  // gives {redraw, only(words, test)}: the latter shows only rows that pass, until the reader takes it away
  function table(host, { caption, columns, rows, pageSize = 25, sort = null, searchLabel = "Search", look = "", onRow = null }) {
    if (!host) return null;
    const id = `table-${(made += 1)}`;
    const index = rows.map((row) => fold(columns.map((column) => column.search ? column.search(row) : column.value(row) ?? "").join("\n")));
    const state = { query: "", sort: sort ? { ...sort } : null, page: 0, only: null, all: false };
    const search = element("input", { type: "search", id: `${id}-search`, autocomplete: "off", spellcheck: "false", "aria-controls": id });
    const status = element("p", { class: "status", role: "status", style: "margin-block:0" });
    const head = element("tr");
    const body = element("tbody");
    const heads = columns.map((column, position) => {
      const button = element("button", { type: "button", title: column.title, onclick: () => sortBy(position) }, column.label);
      const cell = element("th", { scope: "col", class: column.kind === "num" ? "num" : null, hidden: column.more }, button);
      head.append(cell);
      return cell;
    });
    const shown = element("table", { id, class: look }, element("caption", { class: "hidden" }, caption), element("thead", {}, head), body);
    const region = element("div", { class: "scroll", role: "region", "aria-label": `Table: ${caption}`, tabindex: "0" }, shown);
    const before = element("button", { type: "button", onclick: () => turn(-1) }, "Previous");
    const after = element("button", { type: "button", onclick: () => turn(1) }, "Next");
    const place = element("span");
    const pager = element("nav", { class: "pager", "aria-label": `Pages of ${caption}` }, before, after, place);
    const only = element("span", { class: "only", hidden: true });
    const all = element("input", { type: "checkbox", id: `${id}-all` });
    const file = element("button", { type: "button", class: "link", title: "What the search leaves of this list, all its columns, as it is sorted" }, "Download as CSV");
    file.addEventListener("click", () => download(`${caption.toLowerCase().replace(/\W+/g, "-")}.csv`, csvText(columns, found.map((i) => rows[i]))));
    host.append(
      element("div", { class: "tools" },
        element("div", { class: "field" }, element("label", { for: search.id }, searchLabel), search), only,
        columns.some((column) => column.more) ? element("div", { class: "more" }, all, element("label", { for: all.id }, "All columns")) : null, status),
      region, pager, element("p", { class: "below" }, file));
    all.addEventListener("change", () => {
      state.all = all.checked;
      heads.forEach((cell, position) => { cell.hidden = Boolean(columns[position].more) && !state.all; });
      draw();
    });

    let found = [];
    function select() {
      const words = fold(state.query).split(/\s+/).filter(Boolean);
      found = rows.map((_, i) => i).filter((i) => words.every((word) => index[i].includes(word)) && (!state.only || state.only(rows[i])));
      if (state.sort) {
        const { value, kind } = columns[state.sort.column];
        const key = (i) => { const v = value(rows[i]); return kind === "num" || v === null ? v : fold(v); };
        const keys = new Map(found.map((i) => [i, key(i)]));
        const none = (v) => v === null || v === undefined;
        found.sort((a, b) => {
          const x = keys.get(a), y = keys.get(b);
          // what has no value comes last in either direction
          if (none(x) || none(y)) return none(x) - none(y) || a - b;
          return (state.sort.down ? -compare(x, y) : compare(x, y)) || a - b;
        });
      }
      heads.forEach((cell, position) => {
        const chosen = state.sort && state.sort.column === position;
        cell.setAttribute("aria-sort", chosen ? (state.sort.down ? "descending" : "ascending") : "none");
      });
    }

    function draw() {
      const pages = Math.max(Math.ceil(found.length / pageSize), 1);
      state.page = Math.min(Math.max(state.page, 0), pages - 1);
      const start = state.page * pageSize;
      const page = found.slice(start, start + pageSize);
      body.replaceChildren(...page.map((i) => {
        const line = element("tr", {}, ...columns.filter((column) => state.all || !column.more).map((column) => {
          const kind = [column.kind === "num" ? "num" : "text", column.long ? "long" : "", column.look ?? ""].filter(Boolean).join(" ");
          const content = column.cell ? column.cell(rows[i]) : String(column.value(rows[i]) ?? "–");
          return element(column.header ? "th" : "td", { class: kind, scope: column.header ? "row" : null, "data-label": column.header ? null : column.label }, content);
        }));
        if (onRow) onRow(line, rows[i]);
        return line;
      }));
      if (!page.length) {
        body.append(element("tr", {}, element("td", { class: "empty", colspan: columns.filter((column) => state.all || !column.more).length }, rows.length ? "Nothing matches the search." : "No rows.")));
      }
      status.textContent = found.length === rows.length ? `${number(rows.length)} in all` : `${number(found.length)} of ${number(rows.length)} match`;
      pager.hidden = pages < 2;
      place.textContent = `Page ${number(state.page + 1)} of ${number(pages)}`;
      before.disabled = state.page === 0;
      after.disabled = state.page === pages - 1;
    }

    function refresh() { state.page = 0; select(); draw(); }
    function turn(by) {
      state.page += by;
      draw();
      region.scrollTop = 0;
      host.scrollIntoView({ block: "nearest" });
    }
    function sortBy(column) {
      const numeric = columns[column].kind === "num";
      const again = state.sort && state.sort.column === column;
      state.sort = { column, down: again ? !state.sort.down : numeric && !columns[column].ascending };
      refresh();
    }
    let waiting = 0;
    search.addEventListener("input", () => {
      clearTimeout(waiting);
      const look = () => { state.query = search.value; refresh(); };
      if (rows.length > 1000) waiting = setTimeout(look, 120);
      else look();
    });
    function show(words, test) {
      state.only = test;
      only.hidden = !test;
      only.replaceChildren(...(test ? [element("bdi", {}, words), element("button", { type: "button", "aria-label": "Show all again", onclick: () => show("", null) }, "×")] : []));
      refresh();
    }
    refresh();
    return { redraw: draw, only: show };
  }

  return { payload, element, table, number, fixed, percent, cutOff, onTag, tagChosen, served, queue, linked };
})();
