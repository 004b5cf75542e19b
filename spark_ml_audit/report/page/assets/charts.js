"use strict";
// Pictures, drawn by Observable Plot. Colours are the page's own variables, so they follow its scheme.
const auditCharts = (() => {
  const { element, number } = auditPage;
  const drawn = new Map();

  // Draw now and whenever the host's width changes.
  function keep(host, draw) {
    if (!host) return;
    const known = drawn.get(host);
    drawn.set(host, { draw, width: 0 });
    if (!known) new ResizeObserver(() => requestAnimationFrame(() => redraw(host))).observe(host);
    redraw(host);
  }

  function redraw(host) {
    const entry = drawn.get(host);
    const width = Math.floor(host.clientWidth);
    if (!width || entry.width === width) return;
    entry.width = width;
    host.replaceChildren(...entry.draw(width));
  }

  // Counts of very different size, zero included: logarithmic above 1, with ticks at powers of ten.
  function countAxis(most, label) {
    const ticks = [0];
    for (let tick = 1; tick <= most; tick *= 10) ticks.push(tick);
    if (ticks.length < 3) ticks.push(Math.max(most, 1));
    return { type: "symlog", constant: 1, domain: [0, Math.max(most, 1)], ticks, tickFormat: (value) => d3.format("~s")(value), grid: true, label };
  }

  // One picture with one description; the parts that Plot names mean nothing to a listener.
  function picture(options) {
    const svg = Plot.plot(options);
    // what can be clicked is told by itself
    svg.setAttribute("role", svg.querySelector("a") ? "group" : "img");
    for (const part of svg.querySelectorAll("g[aria-label]")) part.removeAttribute("aria-label");
    return svg;
  }

  // Bars lead to their queues where the page is served.
  const linked = (asked, said) => (auditPage.served ? { href: (datum) => auditPage.queue(asked(datum)), ariaLabel: said } : {});

  const dark = "var(--text)";
  const muted = "var(--muted)";

  function legend(entries) {
    return element("ul", { class: "legend" }, ...entries.map(([kind, label]) => element("li", {}, element("span", { class: `swatch ${kind}`, "aria-hidden": "true" }), label)));
  }

  function bins(sparse, count) {
    const counts = new Array(count).fill(0);
    for (let i = 1; i < sparse.length; i += 1) counts[sparse[0] + i - 1] = sparse[i];
    return counts.map((rows, i) => ({ low: i / count, high: (i + 1) / count, rows }));
  }

  function side(width, found, { tag, name, label, cut, upwards, threshold, colour, last }) {
    const most = Math.max(...found.map((bin) => bin.rows), 1);
    const flagged = cut === null ? [] : found
      .map((bin) => upwards ? { ...bin, low: Math.max(bin.low, cut) } : { ...bin, high: Math.min(bin.high, cut) })
      .filter((bin) => bin.low < bin.high && bin.rows);
    const marks = [
      Plot.rectY(found.filter((bin) => bin.rows), { x1: "low", x2: "high", y: "rows", fill: "var(--bar)", inset: 0.5 }),
      Plot.rectY(flagged, { x1: "low", x2: "high", y: "rows", fill: colour, inset: 0.5,
        ...linked((bin) => ({ tag, direction: name, low: bin.low, high: bin.high }), (bin) => `Review ${name}, p ${bin.low.toFixed(3)} to ${bin.high.toFixed(3)}`) }),
      Plot.ruleY([0], { stroke: "var(--line-strong)" }),
    ];
    if (threshold !== null && threshold >= 0 && threshold <= 1) {
      marks.push(Plot.ruleX([threshold], { stroke: muted, strokeDasharray: "4,3", strokeWidth: 1.5 }));
    }
    if (cut !== null) {
      const right = cut > 0.6;
      marks.push(Plot.ruleX([cut], { stroke: colour, strokeWidth: 2 }));
      marks.push(Plot.text([cut], { x: (d) => d, frameAnchor: "top", dy: -12, dx: right ? 4 : -4, textAnchor: right ? "end" : "start", fill: colour, fontWeight: 600,
        text: (d) => `${name} ${auditPage.cutOff(d, upwards)}` }));
    }
    marks.push(Plot.tip(found, Plot.pointerX({ x: (bin) => (bin.low + bin.high) / 2, y: "rows", fill: "var(--surface)", stroke: "var(--line-strong)",
      title: (bin) => `p ${bin.low.toFixed(3)} to ${bin.high.toFixed(3)}\n${number(bin.rows)} rows` })));
    return picture({ width, height: 170, marginTop: 22, marginLeft: 44, marginRight: 10, marginBottom: last ? 36 : 24,
      x: { domain: [0, 1], label: last ? "Predicted probability p of the tag" : null, ticks: 5 },
      y: countAxis(most, null), marks, ariaLabel: label, style: { fontSize: "12px" } });
  }

  function classPicture(host, tag, facts, absent, present, count) {
    keep(host, (width) => {
      const off = bins(absent, count), on = bins(present, count);
      const sum = (found) => found.reduce((total, bin) => total + bin.rows, 0);
      const describe = (given, cut, what) => `Rows ${given ? "with" : "without"} the tag ${tag} by predicted probability; ` +
        (cut === null ? `none is flagged ${what}` : `flagged ${what} ${auditPage.cutOff(cut, !given)}`);
      return [
        legend([["bar", "rows"], ["add", "flagged missing"], ["cut", "flagged extraneous"], ["dash", "threshold"]]),
        element("p", { class: "chart-title" }, `Tag given (${number(sum(on))} rows)`),
        side(width, on, { tag, name: "extraneous", label: describe(true, facts.cutExtraneous, "extraneous"), cut: facts.cutExtraneous, upwards: false,
          threshold: facts.t1, colour: "var(--cut)", last: false }),
        element("p", { class: "chart-title" }, `Tag not given (${number(sum(off))} rows)`),
        side(width, off, { tag, name: "missing", label: describe(false, facts.cutMissing, "missing"), cut: facts.cutMissing, upwards: true,
          threshold: facts.t0 === null ? null : 1 - facts.t0, colour: "var(--add)", last: true }),
        numbers(off.map((bin, i) => [`${bin.low.toFixed(3)} – ${bin.high.toFixed(3)}`, on[i].rows, bin.rows]), ["p", "Tag given", "Tag not given"]),
      ];
    });
  }

  function numbers(rows, heads) {
    const host = element("details", { class: "figures" }, element("summary", {}, "Numbers of this picture"));
    host.addEventListener("toggle", () => {
      if (!host.open || host.childElementCount > 1) return;
      const body = rows.filter((row) => row.slice(1).some(Boolean)).map((row) =>
        element("tr", {}, element("th", { scope: "row" }, row[0]), ...row.slice(1).map((value) => element("td", { class: "num" }, number(value)))));
      host.append(element("div", { class: "inner", tabindex: "0", role: "region", "aria-label": "Numbers of this picture" }, element("table", {},
        element("thead", {}, element("tr", {}, ...heads.map((head, i) => element("th", { scope: "col", class: i ? "num" : null }, head)))),
        element("tbody", {}, ...body))));
    });
    return host;
  }

  function topClasses(host, classes) {
    keep(host, (width) => {
      if (!classes.length) return [element("p", { class: "muted" }, "No tag has flags.")];
      const cut = (text, most) => ([...text].length > most ? `${[...text].slice(0, most - 1).join("")}…` : text);
      const room = Math.min(Math.max(90, width * 0.36), 190);
      const fits = Math.floor(room / 7.6);
      const cells = classes.flatMap((row) => [
        { row: row.i, tag: row.tag, kind: "missing", rows: row.missing },
        { row: row.i, tag: row.tag, kind: "extraneous", rows: row.extraneous }]);
      const names = new Map(classes.map((row) => [row.i, row.tag]));
      return [legend([["add", "missing"], ["cut", "extraneous"]]), picture({
        width, height: 52 + 24 * classes.length, marginLeft: room, marginRight: 44, marginTop: 8, marginBottom: 42,
        x: { label: "Flagged rows", grid: true, ticks: Math.max(2, Math.floor(width / 140)), tickFormat: "~s" },
        y: { label: null, domain: classes.map((row) => row.i), tickFormat: (i) => cut(names.get(i), fits), tickSize: 0 },
        color: { domain: ["missing", "extraneous"], range: ["var(--add)", "var(--cut)"] },
        ariaLabel: "The tags with the most flagged rows", style: { fontSize: "12px" },
        marks: [
          Plot.barX(cells.filter((cell) => cell.rows), { x: "rows", y: "row", fill: "kind", inset: 1, order: ["missing", "extraneous"],
            ...linked((cell) => ({ tag: cell.tag, direction: cell.kind }), (cell) => `Review ${cell.kind}: ${cell.tag}`) }),
          Plot.ruleX([0], { stroke: "var(--line-strong)" }),
          Plot.text(classes, { x: (row) => row.missing + row.extraneous, y: "i", text: (row) => d3.format("~s")(row.missing + row.extraneous), textAnchor: "start", dx: 5, fill: dark }),
          Plot.tip(classes, Plot.pointerY({ x: (row) => row.missing + row.extraneous, y: "i", fill: "var(--surface)", stroke: "var(--line-strong)",
            title: (row) => `${row.tag}\n${number(row.missing)} missing, ${number(row.extraneous)} extraneous` })),
        ] })];
    });
  }

  function scores(host, found) {
    keep(host, (width) => {
      const count = found.without.length;
      const rows = found.without.map((without, i) => ({ low: i / count, high: (i + 1) / count, without, flagged: found.with[i] }));
      const most = Math.max(...rows.map((bin) => Math.max(bin.without, bin.flagged)), 1);
      // the share of a bin's height, so that both parts of a bar can be read on a logarithmic scale
      const side = (value, title, colour, last) => picture({
        width, height: 160, marginLeft: 50, marginRight: 10, marginTop: 12, marginBottom: last ? 36 : 22,
        x: { domain: [0, 1], label: last ? "Label quality score" : null, ticks: width < 500 ? 5 : 10 },
        y: countAxis(most, null), ariaLabel: title, style: { fontSize: "12px" },
        marks: [
          Plot.rectY(rows.filter((bin) => bin[value]), { x1: "low", x2: "high", y: value, fill: colour, inset: 0.5 }),
          Plot.ruleY([0], { stroke: "var(--line-strong)" }),
          Plot.tip(rows, Plot.pointerX({ x: (bin) => (bin.low + bin.high) / 2, y: value, fill: "var(--surface)", stroke: "var(--line-strong)",
            title: (bin) => `Score ${bin.low.toFixed(2)} to ${bin.high.toFixed(2)}\n${number(bin[value])} rows` })),
        ] });
      return [
        element("p", { class: "chart-title" }, `Rows with an issue (${number(d3.sum(rows, (bin) => bin.flagged))})`),
        side("flagged", "Rows with an issue by label quality score", "var(--issue)", false),
        element("p", { class: "chart-title" }, `Rows without an issue (${number(d3.sum(rows, (bin) => bin.without))})`),
        side("without", "Rows without an issue by label quality score", "var(--bar)", true),
        numbers(rows.map((bin) => [`${bin.low.toFixed(2)} – ${bin.high.toFixed(2)}`, bin.flagged, bin.without]), ["Score", "With an issue", "Without"]),
      ];
    });
  }

  return { classPicture, topClasses, scores };
})();
