// Building elements: text goes in as text, whatever it holds.

export const byId = (id) => document.getElementById(id);

/** An element with properties, attributes (with a dash, or role) and children, which are elements or texts. */
export function make(name, properties = {}, ...children) {
  const found = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.includes("-") || key === "role" || key === "for") found.setAttribute(key, value === true ? "" : value);
    else if (key === "class") found.className = value;
    else found[key] = value;
  }
  found.append(...children.filter((child) => child !== null && child !== undefined));
  return found;
}

export const number = (value) => value.toLocaleString("en-US");
export const percent = (share, digits = 0) =>
  share === null || share === undefined ? "–" : `${(100 * share).toFixed(digits)}%`;

/** A probability: never as certain as 0% or 100%, unless it is. */
export function probability(share) {
  if (share > 0 && share < 0.01) return "<1%";
  if (share < 1 && share > 0.99) return ">99%";
  return percent(share);
}

/** A count with its noun. */
export const plural = (count, noun) => `${number(count)} ${noun}${count === 1 ? "" : "s"}`;

/** A bar that says a share; its width is set by script, as the policy of the page asks. */
export function bar(share, kind) {
  const inner = make("span", { class: `fill ${kind}` });
  inner.style.width = `${Math.round(100 * Math.max(0, Math.min(1, share)))}%`;
  return make("span", { class: "track", "aria-hidden": "true" }, inner);
}

/** The precision measured so far, in words. */
export function precision(found) {
  if (!found.judged) return "not judged yet";
  return `${percent(found.precision)} right of ${number(found.judged)} judged (95%: ${percent(found.low)}–${percent(found.high)})`;
}
