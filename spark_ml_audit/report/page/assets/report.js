"use strict";
(() => {
  const { payload, element, table, number, fixed, percent, cutOff, tagChosen, onTag, served, linked } = auditPage;
  const byId = (id) => document.getElementById(id);
  const columns = payload.classes;
  const classes = columns.tag.map((tag, i) => {
    const row = { i };
    for (const name of Object.keys(columns)) row[name] = columns[name][i];
    row.flags = row.missing + row.extraneous;
    return row;
  });
  const mostFirst = [...classes].sort((a, b) => b.flags - a.flags || a.i - b.i);

  // ---- tags ------------------------------------------------------------------------------------------
  const bar = (kind, share) => {
    const drawn = element("span", { class: `bar ${kind}`, "aria-hidden": "true" });
    drawn.style.width = `${(share > 0 ? Math.max(2, 48 * share) : 0).toFixed(1)}px`;
    return drawn;
  };
  const most = Math.max(...classes.map((row) => Math.max(row.missing, row.extraneous)), 1);
  const withBar = (kind, value, asked) => {
    const cell = served && value ? linked(asked, "Review these flags") : document.createDocumentFragment();
    cell.append(bar(kind, value / most), number(value));
    return cell;
  };
  // a tag's name: its queue where that can be opened, else what the page itself shows of it
  const named = (tag, asked, title, onclick, ...more) =>
    served ? linked({ tag, ...asked }, "Review this tag's flags", element("bdi", {}, tag), ...more) : element("button", { type: "button", class: "link", title, onclick }, element("bdi", {}, tag), ...more);
  let chosen = null;
  // beyond what fits a laptop's screen: shown on demand
  const more = (column) => ({ ...column, more: true });
  const num = (label, name, show, title) => ({ label, title, kind: "num", value: (row) => row[name], cell: (row) => show(row[name]) });
  const estimate = (value) => (value === null || value === undefined ? "not enough data" : percent(value));
  const cut = (upwards) => (value) => (value === null ? "never" : cutOff(value, upwards));
  const threshold = (value) => (value === null ? "never" : fixed(value));
  const classTable = classes.length && table(byId("class-table"), {
    caption: "Tags", searchLabel: "Search tags", look: "sticky", pageSize: 25, rows: classes,
    sort: { column: 5, down: true },
    onRow: (line, row) => { if (chosen === row.i) line.className = "chosen"; },
    columns: [
      { label: "Tag", value: (row) => row.tag, header: true,
        cell: (row) => named(row.tag, {}, "Show this tag's picture, and the rows where it is flagged", () => { choose(row.i); tagChosen(row.tag); byId("picture").scrollIntoView({ block: "nearest" }); byId("class-choice").focus({ preventScroll: true }); }) },
      num("Given", "given", number),
      { label: "Trust", value: (row) => row.trust, cell: (row) => element("span", { class: `badge ${{ good: "good", weak: "warn" }[row.trust] || ""}` }, row.trust || "not known") },
      { label: "Missing", kind: "num", value: (row) => row.missing, cell: (row) => withBar("add", row.missing, { tag: row.tag, direction: "missing" }) },
      { label: "Extraneous", kind: "num", value: (row) => row.extraneous, cell: (row) => withBar("cut", row.extraneous, { tag: row.tag, direction: "extraneous" }) },
      num("Flags", "flags", number, "Missing and extraneous together"),
      num("Wrong of given", "wrong", estimate, "Estimated from the joint"),
      num("Forgotten of true", "forgotten", estimate, "Estimated from the joint"),
      num("Flagged missing", "cutMissing", cut(true), "Where it is not given: flagged missing from this probability of the tag"),
      num("Flagged extraneous", "cutExtraneous", cut(false), "Where it is given: flagged extraneous up to this probability of the tag"),
      more(num("Missing share", "inverse", percent, "Missing flags as a share of audited rows")),
      more(num("Extraneous share", "noise", percent, "Extraneous flags as a share of audited rows")),
      more(num("AUC", "auc", (value) => fixed(value), "Chance that a row with the tag has the larger probability than one without")),
      more(num("Average precision", "ap", (value) => fixed(value), "Mean precision over the rows with the tag, ranked by probability")),
      more(num("Threshold present", "t1", threshold)),
      more(num("Threshold absent", "t0", threshold)),
      more(num("Given, true", "j11", number, "Joint: given, truly present")),
      more(num("Given, wrong", "j10", number, "Joint: given, truly absent")),
      more(num("Not given, true", "j01", number, "Joint: not given, truly present")),
      more(num("Not given, absent", "j00", number, "Joint: not given, truly absent")),
    ] });

  const choice = byId("class-choice");
  function choose(i) {
    const row = classes[i];
    chosen = i;
    choice.value = String(i);
    if (payload.bins) auditCharts.classPicture(byId("class-chart"), row.tag, row, payload.absent[i], payload.present[i], payload.bins);
    const head = (text) => element("th", { scope: "col", class: "num" }, text);
    const cell = (value) => element("td", { class: "num" }, number(value));
    byId("class-facts").replaceChildren(
      element("table", { class: "joint" },
        element("caption", { class: "hidden" }, "Confident joint of this tag"),
        element("thead", {}, element("tr", {}, element("th", { scope: "col" }, "Estimated rows"), head("truly present"), head("truly absent"))),
        element("tbody", {},
          element("tr", {}, element("th", { scope: "row" }, "given"), cell(row.j11), cell(row.j10)),
          element("tr", {}, element("th", { scope: "row" }, "not given"), cell(row.j01), cell(row.j00)))),
      element("p", { class: "muted", style: "font-size:.88rem;margin-bottom:0" },
        `${number(row.missing)} flagged missing, ${number(row.extraneous)} flagged extraneous. ` +
        `Thresholds: present ${threshold(row.t1)}, absent ${threshold(row.t0)}. Estimated prevalence: ${estimate(row.prevalence)}.`));
    if (classTable) classTable.redraw();
  }
  if (classes.length && choice) {
    choice.append(...mostFirst.map((row) => element("option", { value: row.i }, row.flags ? `${row.tag} (${number(row.flags)})` : row.tag)));
    choice.addEventListener("change", () => choose(Number(choice.value)));
    auditCharts.topClasses(byId("top-chart"), mostFirst.filter((row) => row.flags).slice(0, 20));
    choose(mostFirst[0].i);
  }

  // ---- worst rows ------------------------------------------------------------------------------------
  const CUT_AT = 240;
  function longText(text) {
    if (text === null) return element("span", { class: "muted" }, "null");
    const letters = [...text];
    if (letters.length <= CUT_AT + 40) return text;
    const body = element("span", {}, `${letters.slice(0, CUT_AT).join("")}… `);
    const more = element("button", { type: "button", class: "link", "aria-expanded": "false" }, "more");
    more.addEventListener("click", () => {
      const open = more.getAttribute("aria-expanded") === "true";
      more.setAttribute("aria-expanded", String(!open));
      more.textContent = open ? "more" : "less";
      body.textContent = open ? `${letters.slice(0, CUT_AT).join("")}… ` : `${text} `;
    });
    const whole = document.createDocumentFragment();
    whole.append(body, more);
    return whole;
  }
  function chip(kind, tag, prob) {
    const name = { add: "ins", cut: "del" }[kind] || "span";
    const label = { add: "added: ", cut: "removed: " }[kind];
    return element(name, { class: `chip ${kind}` }, label ? element("span", { class: "hidden" }, label) : null,
      kind === "kept" ? element("bdi", {}, tag)
        : named(tag, { direction: kind === "cut" ? "extraneous" : "missing" }, "Show only rows where this tag is flagged", () => tagChosen(tag)), prob === undefined ? null : element("small", { title: "Predicted probability" }, fixed(prob, prob < 0.01 || prob > 0.99 ? 4 : 2)));
  }
  function chips([, , , , kept, moreKept, flagged, moreFlagged]) {
    const host = element("div", { class: "chips" });
    host.append(...flagged.map(([tag, extraneous, prob]) => chip(extraneous ? "cut" : "add", tag, prob)));
    if (moreFlagged) host.append(element("span", { class: "chip" }, `and ${number(moreFlagged)} more flagged`));
    host.append(...kept.map((tag) => chip("kept", tag)));
    if (moreKept) host.append(element("span", { class: "chip" }, `and ${number(moreKept)} more`));
    return host;
  }
  const rows = payload.rows.list;
  if (byId("rows-count")) byId("rows-count").textContent = number(rows.length);
  if (rows.length) {
    const rowTable = table(byId("row-table"), {
      caption: "Worst rows", searchLabel: "Search ids, texts and tags", look: "stack", pageSize: 20, rows, sort: { column: 0, down: false },
      columns: [
        { label: "Rank", kind: "num", ascending: true, value: (row) => row[0], cell: (row) => number(row[0]) },
        { label: payload.rows.id, value: (row) => row[1], header: true, ...(served && { cell: (row) => element("a", { href: `/row?${new URLSearchParams({ id: row[1] })}`, title: "Review this row" }, element("bdi", {}, row[1])) }) },
        ...payload.rows.columns.map((name, i) => ({ label: name, long: true, value: (row) => row[3][i], cell: (row) => longText(row[3][i]) })),
        { label: "Tags", look: "tags", value: (row) => row[6].map(([tag]) => tag).join(" "), cell: chips,
          csv: [["given tags", (row) => [...row[4], ...row[6].filter((cell) => cell[1]).map(([tag]) => tag)].join(", ")],
            ["tags to add", (row) => row[6].filter((cell) => !cell[1]).map(([tag]) => tag).join(", ")],
            ["tags to remove", (row) => row[6].filter((cell) => cell[1]).map(([tag]) => tag).join(", ")]],
          search: (row) => [...row[6].map(([tag]) => tag), ...row[4]].join(" ") },
        { label: "Flags", kind: "num", value: (row) => row[6].length + row[7] },
        { label: "Score", kind: "num", ascending: true, value: (row) => row[2], cell: (row) => fixed(row[2], 4) },
      ] });
    onTag((tag) => rowTable.only(`rows where ${tag} is flagged`, (row) => row[6].some(([name]) => name === tag)));
  }

  // ---- confused tags ---------------------------------------------------------------------------------
  if (payload.pairs.length) {
    const top = Math.max(...payload.pairs.map((pair) => pair[2]), 1);
    table(byId("pair-table"), {
      caption: "Confused tags", searchLabel: "Search tags", look: "stack", pageSize: 15, rows: payload.pairs, sort: { column: 2, down: true },
      columns: [
        { label: "Missing tag", value: (pair) => pair[0], header: true, ...(served && { cell: (pair) => linked({ tag: pair[0], direction: "missing", instead: pair[1] }, "Review this pair", element("bdi", {}, pair[0])) }) },
        { label: "where this was given", value: (pair) => pair[1] },
        { label: "Rows", kind: "num", value: (pair) => pair[2], cell: (pair) => { const cell = document.createDocumentFragment(); cell.append(bar("plain", pair[2] / top), number(pair[2])); return cell; } },
        { label: "Lift", kind: "num", value: (pair) => pair[4], cell: (pair) => fixed(pair[4], 1) },
        { label: "Given one flagged", kind: "num", value: (pair) => pair[3], cell: (pair) => number(pair[3]) },
      ] });
  }

  // ---- the rest --------------------------------------------------------------------------------------
  if (byId("score-chart") && payload.scores.without.length) auditCharts.scores(byId("score-chart"), payload.scores);
  if (payload.changes) {
    const pick = (label, i, show) => ({ label, kind: "num", value: (row) => row[i], cell: (row) => show(row[i]) });
    const change = (row) => (row[1] === null || row[2] === null ? null : row[2] - row[1]);
    table(byId("changes-table"), {
      caption: "Tags since the last run", searchLabel: "Search tags", look: "stack", pageSize: 15, rows: payload.changes,
      columns: [
        { label: "Tag", value: (row) => row[0], header: true, ...(served && { cell: (row) => linked({ tag: row[0] }, "Review this tag's flags", element("bdi", {}, row[0])) }) },
        pick("Noise then", 1, percent), pick("Noise now", 2, percent),
        { label: "Change", kind: "num", value: change, cell: (row) => { const by = change(row); return by === null ? "–" : `${by > 0 ? "+" : by < 0 ? "−" : ""}${(100 * Math.abs(by)).toFixed(2)} points`; } },
        pick("Missing then", 3, number), pick("Missing now", 4, number), pick("Extraneous then", 5, number), pick("Extraneous now", 6, number),
      ] });
  }
  for (const host of document.querySelectorAll(".section-table")) {
    const section = payload[host.dataset.from][Number(host.dataset.section)];
    const tagAt = section.columns.findIndex(([, kind]) => kind === "tag");
    const shown = table(host, {
      caption: host.dataset.title, look: "stack", pageSize: 15, rows: section.rows,
      columns: section.columns.map(([label, kind], i) => ({
        label, kind: ["number", "share", "prob"].includes(kind) ? "num" : "text", header: i === 0, long: kind === "tags",
        value: (row) => (Array.isArray(row[i]) ? row[i].join(" ") : row[i]),
        csv: (row) => (Array.isArray(row[i]) ? row[i].join(", ") : row[i]),
        cell: (row) => {
          if (Array.isArray(row[i])) return element("div", { class: "chips" }, ...row[i].map((tag) => chip("kept", tag)));
          if (row[i] === null) return "–";
          if (kind === "share") return percent(row[i]);
          if (kind === "tag") return named(row[i], {}, "Show only this tag", () => tagChosen(row[i]));
          if (kind === "prob") return row[i] > 0.9999 && row[i] < 1 ? ">0.9999" : row[i] < 0.0001 && row[i] > 0 ? "<0.0001" : fixed(row[i], 4);
          return typeof row[i] === "number" ? (Number.isInteger(row[i]) ? number(row[i]) : fixed(row[i], 4)) : String(row[i]);
        } })) });
    if (shown && tagAt >= 0) onTag((tag) => shown.only(`only ${tag}`, (row) => row[tagAt] === tag));
  }
  document.documentElement.dataset.ready = "true";
})();
