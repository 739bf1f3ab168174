// Search among labels as you type: arrow keys move, Enter takes, Escape leaves.
import { byId, fill, make } from "./dom.js";
import { rank } from "./fuzzy.js";
import { say } from "./say.js";

const N_SHOWN = 40;

/** A name with the letters that matched set off. */
function marked(name, at) {
  const hits = new Set(at);
  const parts = [];
  for (const [n, letter] of Array.from(name).entries()) {
    const isHit = hits.has(n);
    const last = parts.at(-1);
    if (last && last.isHit === isHit) last.text += letter;
    else parts.push({ isHit, text: letter });
  }
  return parts.map(({ isHit, text }) => (isHit ? make("mark", {}, text) : text));
}

export class Search {
  #input = byId("find");
  #list = byId("found");
  #labels;
  #found = [];
  #at = 0;
  #hooks;

  /** `hooks`: `onChoose(label)`, `onLeave()`. */
  constructor(labels, hooks) {
    this.#labels = labels;
    this.#hooks = hooks;
    this.#input.addEventListener("input", () => this.#look());
    this.#input.addEventListener("keydown", (event) => this.#onKey(event));
  }

  open() {
    this.#input.focus();
    this.#input.select();
  }

  /** Empty the box and show all labels again. */
  close() {
    if (!this.#input.value && this.#list.hidden) return;
    this.#input.value = "";
    this.#show([]);
  }

  /** Take the label that is highlighted; false where there is none. */
  take() {
    const hit = this.#found[this.#at];
    if (!hit || document.activeElement !== this.#input) return false;
    this.#choose(hit.label.name);
    return true;
  }

  #choose(name) {
    this.close();
    this.#hooks.onLeave();
    this.#hooks.onChoose(name);
  }

  #look() {
    const query = this.#input.value.trim();
    this.#at = 0;
    this.#show(query ? rank(query, this.#labels).slice(0, N_SHOWN) : []);
    if (query) say(this.#found.length ? `${this.#found.length} labels; first: ${this.#found[0].label.name}` : "No label matches");
  }

  #show(found) {
    this.#found = found;
    const isSearching = this.#input.value.trim() !== "";
    byId("chooser").classList.toggle("searching", isSearching);
    this.#list.hidden = !isSearching;
    this.#input.setAttribute("aria-expanded", String(isSearching));
    const rows = found.map(({ label, at }, n) => this.#row(label, at, n));
    fill(this.#list, ...(rows.length || !isSearching ? rows : [make("li", { class: "nothing muted" }, "No label matches. Escape shows all again.")]));
    this.#highlight();
  }

  #row(label, at, n) {
    const about = label.description ? make("span", { class: "label-about", dir: "auto" }, label.description) : null;
    const name = make("span", { class: "label-name", dir: "auto" }, ...marked(label.name, at));
    return make(
      "li", { role: "option", id: `found-${n}`, data: { label: label.name }, on: { click: () => this.#choose(label.name) } },
      make("kbd", { "aria-hidden": "true", class: label.key ? null : "keyless" }, label.key), make("span", { class: "label-words" }, name, about),
    );
  }

  #highlight() {
    [...this.#list.children].forEach((row, n) => row.setAttribute("aria-selected", String(n === this.#at && this.#found.length > 0)));
    const row = this.#found.length ? this.#list.children[this.#at] : null;
    if (row) this.#input.setAttribute("aria-activedescendant", row.id);
    else this.#input.removeAttribute("aria-activedescendant");
    row?.scrollIntoView({ block: "nearest" });
  }

  #onKey(event) {
    if (event.isComposing) return;
    if (event.key === "Escape") {
      this.close();
      this.#hooks.onLeave();
    } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      const n = this.#found.length;
      if (n) this.#at = (this.#at + (event.key === "ArrowDown" ? 1 : n - 1)) % n;
      this.#highlight();
    } else if (event.key === "Enter" && !event.ctrlKey && !event.metaKey) {
      this.take();
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }
}
