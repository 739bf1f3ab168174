// All labels as buttons. Built once; a new text only moves marks, so 150 labels cost nothing.
import { breakable, fill, make } from "./dom.js";
import { percent } from "./words.js";

const ROOMY = 12;
const GROUPED = 31;
const N_RECENT = 8;

/** One button of a label, with its key and room for the score of a suggestion. */
export function labelButton(label, { key = label.key, onChoose, withDescription = false }) {
  const name = make("span", { class: "label-name", dir: "auto" }, ...breakable(label.name));
  const words = make("span", { class: "label-words" }, name);
  if (withDescription && label.description) words.append(make("span", { class: "label-about", dir: "auto" }, label.description));
  const title = label.description || null;
  const keys = key ? { "aria-keyshortcuts": key } : {};
  return make(
    "button", { type: "button", class: "label", title, data: { label: label.name }, ...keys, on: { click: () => onChoose(label.name) } },
    make("kbd", { "aria-hidden": "true", class: key ? null : "keyless" }, key || ""), words, make("span", { class: "label-mark" }),
  );
}

const initialOf = (name) => (name.match(/[\p{L}\p{N}]/u)?.[0] ?? "#").toLocaleUpperCase();

export class Board {
  #scheme;
  #buttons = new Map();
  #marked = new Set();
  #recentNames = [];
  #recentRow;
  #onChoose;

  constructor(element, recentRow, { scheme, onChoose }) {
    this.#scheme = scheme;
    this.#recentRow = recentRow;
    this.#onChoose = onChoose;
    const labels = scheme.labels;
    element.dataset.size = labels.length <= ROOMY ? "roomy" : labels.length < GROUPED ? "many" : "crowd";
    const withDescription = labels.length <= ROOMY;
    for (const label of labels) this.#buttons.set(label.name, labelButton(label, { onChoose, withDescription }));
    fill(element, ...(labels.length < GROUPED ? this.#buttons.values() : this.#groups()));
  }

  /** Whether a search box helps. */
  get isLarge() {
    return this.#scheme.labels.length > ROOMY;
  }

  /** The label with this key, or undefined. */
  labelOf(key) {
    return this.#scheme.labels.find((label) => label.key === key)?.name;
  }

  /** Mark what was chosen before and what is suggested; everything else loses its mark. */
  mark({ chosen = null, suggested = [] }) {
    for (const button of this.#marked) this.#clear(button);
    this.#marked.clear();
    for (const { label, score, by } of suggested) {
      const button = this.#buttons.get(label);
      if (!button || this.#marked.has(button)) continue;
      button.classList.add("suggested");
      button.lastChild.textContent = score === null ? by : percent(score);
      this.#marked.add(button);
    }
    const button = this.#buttons.get(chosen);
    if (!button) return;
    button.classList.add("chosen");
    button.setAttribute("aria-pressed", "true");
    this.#marked.add(button);
  }

  /** Show for a moment which label it was; the next text is already there. */
  flash(name) {
    this.#buttons.get(name)?.animate([{ backgroundColor: "var(--good-soft)", borderColor: "var(--good)" }, {}], { duration: 450, easing: "ease-in" });
    if (this.isLarge) this.#remember(name);
  }

  #remember(name) {
    if (!this.#buttons.has(name) || this.#recentNames[0] === name) return;
    const rest = this.#recentNames.filter((other) => other !== name);
    const isNew = rest.length === this.#recentNames.length;
    this.#recentNames = [name, ...rest].slice(0, N_RECENT);
    // A row that is already there stays as it is, so that nothing moves under the pointer.
    if (isNew) requestAnimationFrame(() => this.#drawRecent());
  }

  #drawRecent() {
    const labels = this.#recentNames.map((name) => this.#scheme.labels.find((label) => label.name === name));
    fill(this.#recentRow, ...labels.map((label) => labelButton(label, { onChoose: this.#onChoose })));
    this.#recentRow.hidden = false;
  }

  #clear(button) {
    button.classList.remove("suggested", "chosen");
    button.removeAttribute("aria-pressed");
    button.lastChild.textContent = "";
  }

  #groups() {
    const groups = new Map();
    const sorted = [...this.#scheme.labels].sort((a, b) => a.name.localeCompare(b.name));
    for (const { name } of sorted) {
      const initial = initialOf(name);
      groups.set(initial, [...(groups.get(initial) ?? []), this.#buttons.get(name)]);
    }
    return [...groups].map(([initial, buttons]) =>
      make("div", { class: "group", role: "group", "aria-label": initial }, make("span", { class: "initial", "aria-hidden": "true" }, initial), ...buttons));
  }
}
