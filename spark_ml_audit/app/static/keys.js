// Keys of the review page. What is typed into a field is typed into the field.

const TYPING = "input, textarea, select, [contenteditable]";

/** Call the handler of a key that is pressed; handlers by `KeyboardEvent.key` in lower case. */
export function listen(handlers) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || event.isComposing) return;
    const target = event.target;
    const key = event.key.toLowerCase();
    if (target.matches?.(TYPING)) {
      if (key === "escape") target.blur();
      return;
    }
    // Enter on a link or a button is a click on it; on a tag it accepts what is shown, as anywhere
    if (key === "enter" && target.closest?.("a, summary, button:not([role=switch])")) return;
    const handler = /^[1-9]$/.test(key) ? handlers.digit : handlers[key];
    if (!handler || (event.repeat && key !== "arrowright" && key !== "arrowleft")) return;
    event.preventDefault();
    handler(key);
  });
}
