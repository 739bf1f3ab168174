// Small windows of the label page: a note, a flag, the keys.
import { fill, make } from "./dom.js";
import { REST } from "./forms.js";

/**
 * Open a window; gives what `close(value)` is called with, or null after Escape.
 *
 * What waits for it goes on before the next key: a note is kept before the label after it is pressed.
 */
export function openDialog(build) {
  return new Promise((resolve) => {
    const dialog = make("dialog", { "aria-labelledby": "dialog-title" });
    const finish = (value) => { dialog.remove(); resolve(value); };
    const close = (value) => { dialog.close(); finish(value); };
    fill(dialog, ...build(close));
    dialog.addEventListener("close", () => finish(null));
    dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
    document.body.append(dialog);
    dialog.showModal();
  });
}

function askText({ title, hint, text, action, onSubmit }) {
  return openDialog((close) => {
    const box = make("textarea", { id: "dialog-text", maxlength: "4000", dir: "auto", rows: "4" });
    box.value = text;
    box.addEventListener("keydown", (event) => {
      const isEnter = event.key === "Enter" && !event.isComposing;
      if (!isEnter || event.shiftKey) return;
      event.preventDefault();
      close(onSubmit(box.value.trim(), event.ctrlKey || event.metaKey));
    });
    const ok = make("button", { type: "button", class: "primary", on: { click: () => close(onSubmit(box.value.trim(), false)) } }, action);
    const cancel = make("button", { type: "button", on: { click: () => close(null) } }, "Cancel");
    return [make("h2", { id: "dialog-title" }, title), make("label", { class: "field" }, make("span", { class: "hint" }, hint), box), make("div", { class: "dialog-end" }, cancel, ok)];
  });
}

/** Ask for a note: `{text, isSubmit}`; text is null where nothing changes. */
export async function askNote(text) {
  const hint = "Kept with your answer. Enter keeps it, Shift+Enter makes a new line, Ctrl+Enter keeps it and submits.";
  const found = await askText({ title: "Note", hint, text, action: "Keep", onSubmit: (value, isSubmit) => ({ text: value, isSubmit }) });
  return found ?? { text: null, isSubmit: false };
}

/** Ask why a text should be looked at; null where it is not flagged. */
export function askFlag() {
  const hint = "Somebody reviews flagged texts. What should be looked at? May stay empty.";
  return askText({ title: "Flag this text", hint, text: "", action: "Flag", onSubmit: (value) => value });
}

const GENERAL = [
  ["Enter", "accept the suggestion"], ["Ctrl+Enter", "submit, also from a text box"], ["Space", "skip: you cannot tell"],
  ["x", "none of these: you can tell, and no label fits"], ["Backspace u", "undo"], ["/", "search labels"], ["← →", "earlier answers, and back"],
  ["Esc", "leave a search, or earlier answers"], ["↑ ↓", "scroll a long text"], ["n", "note"], ["f", "flag for a reviewer"], ["g", "guidelines"], ["?", "these keys"],
];
const FORMS = [
  ["y n", "yes or no, where one label is proposed"], [REST, "all labels, where a few are offered"], ["1 2", "where two are offered"], ["↑ ↓ Space", "look through similar texts, take one out"],
];

const row = ([keys, words]) => make("div", {}, make("dt", {}, ...keys.split(" ").map((key) => make("kbd", {}, key))), make("dd", {}, words));
const table = (rows) => make("dl", { class: "keys" }, ...rows.map(row));

/** Show every key. */
export function showHelp(scheme) {
  const labels = scheme.labels.filter((label) => label.key).map((label) => [label.key, label.name]);
  const rest = scheme.labels.length - labels.length;
  return openDialog((close) => [
    make("h2", { id: "dialog-title" }, "Keys"), table(GENERAL), make("h3", {}, "Shorter questions"), table(FORMS), make("h3", {}, "Labels"), table(labels),
    rest ? make("p", { class: "muted small" }, `${rest} more labels have no key: search them with /.`) : null,
    make("div", { class: "dialog-end" }, make("button", { type: "button", class: "primary", autofocus: true, on: { click: () => close(null) } }, "Close")),
  ]);
}
