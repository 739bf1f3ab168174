// Keys of a page. They never fire in a text box, in an open dialog, or with a modifier key.

const TEXT_BOXES = 'input:not([type="checkbox"]):not([type="radio"]):not([type="button"]), textarea, select, [contenteditable="true"]';
const PRESSABLE = { Enter: "button, a[href], summary", Space: "button, summary, input" };

/** Whether somebody is typing text into this element. */
export const isTextBox = (element) => element instanceof Element && element.matches(TEXT_BOXES);

/** Whether the browser itself does something with Enter or Space here. */
const isPressed = (name, element) => name in PRESSABLE && element instanceof Element && element.matches(PRESSABLE[name]);

/** The name of a key as our tables write it: "a", "1", "Enter", "Space", "Left", ... */
export function nameOf(event) {
  if (event.key === " ") return "Space";
  if (event.key.startsWith("Arrow")) return event.key.slice(5);
  return event.key.length === 1 ? event.key.toLowerCase() : event.key;
}

/**
 * Listen to the keys of a page.
 *
 * `onKey(name, event)` returns true where it used the key. `onSubmit(event)` gets Ctrl+Enter (and Cmd+Enter), the one
 * combination that works in text boxes too.
 */
export function listen({ onKey, onSubmit }) {
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.isComposing || document.querySelector("dialog[open]")) return;
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !event.altKey) {
      if (!event.repeat && onSubmit?.(event)) event.preventDefault();
      return;
    }
    // Shift is not a modifier where it makes the character, as in "?".
    const isShifted = event.shiftKey && /^[a-z0-9]$/i.test(event.key);
    if (event.ctrlKey || event.metaKey || event.altKey || isShifted || isTextBox(event.target)) return;
    const name = nameOf(event);
    if (isPressed(name, event.target)) return;
    // A key that is held down answers once.
    if (event.repeat && !["Up", "Down", "Left", "Right"].includes(name)) {
      if (name === "Space") event.preventDefault();
      return;
    }
    if (onKey(name, event)) event.preventDefault();
  });
}
