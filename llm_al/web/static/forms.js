// How a question is put: list, candidates, verify, pair, bulk. Each form draws itself and reads its own keys.
import { labelButton } from "./board.js";
import { byId, fill, make } from "./dom.js";
import { percent } from "./words.js";

/** Opens the list of all labels in every form that does not begin with it. It is never the key of a label. */
export const REST = "0";

/** Whether no label is without a key. */
export const hasAllKeys = (scheme) => scheme.labels.every((label) => label.key);

/**
 * Keys of labels that are offered first: their own where every label has one, else their place.
 *
 * `reserved` are keys that the page needs for itself; where a label has one of them, all go by place.
 */
export function keysOf(options, scheme, reserved = []) {
  const own = new Map(scheme.labels.map((label) => [label.name, label.key]));
  const isOwn = hasAllKeys(scheme) && !scheme.labels.some((label) => reserved.includes(label.key));
  return new Map(options.map((name, n) => [isOwn ? own.get(name) : n < 9 ? String(n + 1) : "", name]).filter(([key]) => key));
}

const labelNamed = (scheme, name) => scheme.labels.find((label) => label.name === name) ?? { name, description: "", key: "" };

function big(view, name, key, score) {
  const label = labelNamed(view.scheme, name);
  const button = labelButton(label, { key, onChoose: view.choose, withDescription: view.scheme.labels.length <= 40 });
  button.classList.add("big");
  if (score !== undefined && score !== null) button.lastChild.textContent = percent(score);
  return button;
}

function restButton(view, words) {
  const keys = { "aria-keyshortcuts": REST };
  return make("button", { type: "button", class: "rest", ...keys, on: { click: view.openList } }, make("kbd", { "aria-hidden": "true" }, REST), words);
}

function offer(view, ticket, question, rest) {
  const keys = keysOf(ticket.options, view.scheme);
  const keyOf = new Map([...keys].map(([key, name]) => [name, key]));
  const scores = new Map(view.suggestions(ticket).map(({ label, score }) => [label, score]));
  fill(byId("ask"), question);
  fill(byId("offered"), ...ticket.options.map((name) => big(view, name, keyOf.get(name) ?? "", scores.get(name))), restButton(view, rest));
  return keys;
}

const voice = ({ by, score }) => (score === null ? by : `${by} ${percent(score)}`);

/** Suggestions by label: who agrees on one shares a row. */
function byLabel(suggestions) {
  const groups = new Map();
  for (const suggestion of suggestions) groups.set(suggestion.label, [...(groups.get(suggestion.label) ?? []), voice(suggestion)]);
  return [...groups].map(([label, voices]) => ({ label, voices: voices.join(", ") }));
}

/** A suggestion and the key that accepts it. */
function suggestionRow(view, { label, voices }, isFirst) {
  const words = [make("span", { class: "suggestion-name", dir: "auto" }, label), make("span", { class: "muted small" }, voices)];
  const key = isFirst ? make("kbd", { "aria-hidden": "true" }, "↵") : null;
  const what = { "aria-label": `Accept the suggestion ${label} of ${voices}` };
  return make("button", { type: "button", class: "suggestion", ...what, on: { click: () => view.choose(label) } }, key, ...words);
}

const list = {
  draw(view, ticket) {
    const suggestions = view.suggestions(ticket);
    fill(byId("ask"), ...(suggestions.length ? [make("span", { class: "muted small" }, "Suggested")] : []));
    fill(byId("offered"), ...byLabel(suggestions).map((suggestion, n) => suggestionRow(view, suggestion, n === 0)));
    view.openList();
  },
  onKey: () => false,
  accepts: (view, ticket) => view.suggestions(ticket)[0]?.label ?? null,
};

const candidates = {
  draw(view, ticket) {
    this.keys = offer(view, ticket, "Probably one of these", "Another label");
  },
  onKey(view, ticket, name) {
    if (chooseOffered(view, this.keys, name)) return true;
    // Where every label has a key, those that are out of sight keep theirs.
    const label = view.hasAllKeys && view.scheme.labels.find((other) => other.key === name);
    if (label) view.choose(label.name);
    return Boolean(label);
  },
  accepts: (view, ticket) => view.suggestions(ticket)[0]?.label ?? null,
};

const pair = {
  draw(view, ticket) {
    this.keys = new Map(ticket.options.map((name, n) => [String(n + 1), name]));
    offer(view, ticket, "Which of the two?", "Neither");
    [...byId("offered").querySelectorAll(".big kbd")].forEach((kbd, n) => { kbd.textContent = String(n + 1); kbd.classList.remove("keyless"); });
  },
  onKey(view, ticket, name) {
    return chooseOffered(view, this.keys, name);
  },
  accepts: (view, ticket) => view.suggestions(ticket)[0]?.label ?? null,
};

function chooseOffered(view, keys, name) {
  if (view.isListOpen) return false;
  if (name === REST) view.openList();
  else if (keys.has(name)) view.choose(keys.get(name));
  else return false;
  return true;
}

const verify = {
  draw(view, ticket) {
    const [name] = ticket.options;
    const label = labelNamed(view.scheme, name);
    const about = label.description ? make("span", { class: "label-about", dir: "auto" }, label.description) : null;
    fill(byId("ask"), "Is this ", make("strong", { dir: "auto" }, name), "?", about);
    const yes = make("button", { type: "button", class: "big yes", "aria-keyshortcuts": "y", on: { click: () => view.choose(name) } }, make("kbd", { "aria-hidden": "true" }, "y"), "Yes");
    const no = make("button", { type: "button", class: "big no", "aria-keyshortcuts": "n", on: { click: view.openList } }, make("kbd", { "aria-hidden": "true" }, "n"), "No, another label");
    fill(byId("offered"), yes, no);
  },
  onKey(view, ticket, name) {
    if (view.isListOpen) return false;
    if (name === "y") view.choose(ticket.options[0]);
    else if (name === "n" || name === REST) view.openList();
    else return false;
    return true;
  },
  accepts: (view, ticket) => (view.isListOpen ? null : ticket.options[0]),
};

/** The forms but `bulk`, which has its own module. */
export const FORMS = { list, candidates, verify, pair };
