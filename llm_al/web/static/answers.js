// The right-hand side of the label page: the form of the question, the board of labels, the search.
import { Board } from "./board.js";
import { bulk } from "./bulk.js";
import { byId, fill } from "./dom.js";
import { FORMS, hasAllKeys } from "./forms.js";
import { Search } from "./search.js";

const ALL_FORMS = { ...FORMS, bulk };

export class Answers {
  scheme;
  hasAllKeys = false;
  isListOpen = false;
  #board;
  #search;
  #chooser = byId("chooser");
  #ticket = null;
  #form = FORMS.list;
  #isPast = false;
  #chosen = null;

  /** `hooks`: `onChoose(label)`, `onChooseMany({kept, out})`, `onLeave()` (give the keyboard back to the text). */
  constructor(scheme, hooks) {
    this.scheme = scheme;
    this.hasAllKeys = hasAllKeys(scheme);
    this.choose = hooks.onChoose;
    this.chooseMany = hooks.onChooseMany;
    this.#board = new Board(byId("board"), byId("recent"), { scheme, onChoose: hooks.onChoose });
    this.#search = new Search(scheme.labels, hooks);
    byId("search").hidden = !this.#board.isLarge;
    byId("desk").dataset.size = byId("board").dataset.size;
  }

  /** What is suggested for a text, as far as this person may see it. */
  suggestions = (ticket) => (this.scheme.suggestions === "hidden" || ticket.is_blind || this.#isPast ? [] : ticket.suggestions ?? []);

  /** Show all labels. */
  openList = () => {
    this.isListOpen = true;
    this.#chooser.hidden = false;
    this.#board.mark({ chosen: this.#chosen, suggested: this.suggestions(this.#ticket) });
    if (this.#form !== FORMS.list && this.#board.isLarge) this.#search.open();
    else if (this.#form !== FORMS.list) byId("question").focus({ preventScroll: true });
  };

  /** Draw the question; an earlier answer is always shown with the whole list and what was chosen. */
  draw(ticket, { isPast = false, chosen = null } = {}) {
    this.#ticket = ticket;
    this.#isPast = isPast;
    this.#chosen = chosen;
    this.#form = isPast ? FORMS.list : ALL_FORMS[ticket.form] ?? FORMS.list;
    this.isListOpen = this.#form === FORMS.list;
    this.#search.close();
    byId("members").hidden = true;
    byId("desk").dataset.form = isPast ? "list" : ticket.form;
    this.#chooser.hidden = !this.isListOpen;
    this.#form.draw(this, ticket);
  }

  clear() {
    this.#ticket = null;
    fill(byId("ask"));
    fill(byId("offered"));
  }

  /** Let the form, then the labels, use a key. */
  onKey(name) {
    if (this.#form.onKey(this, this.#ticket, name)) return true;
    const label = this.isListOpen ? this.#board.labelOf(name) : undefined;
    if (label === undefined) return false;
    this.choose(label);
    return true;
  }

  /** Enter: accept what is suggested; false where nothing is. */
  accept() {
    if (this.#form === bulk) {
      bulk.submit(this, this.#ticket);
      return true;
    }
    const label = this.#form.accepts(this, this.#ticket);
    if (label !== null) this.choose(label);
    return label !== null;
  }

  /** The highlighted label of an open search. */
  takeFound = () => this.#search.take();

  find() {
    if (!this.isListOpen) this.openList();
    byId("search").hidden = false;
    this.#search.open();
  }

  /** Whether this person saw a proposal of a machine for this text. */
  isSuggestionShown(ticket) {
    const isProposed = ["verify", "bulk"].includes(ticket.form) && ticket.options.length > 0;
    return isProposed || this.suggestions(ticket).length > 0;
  }

  flash = (label) => this.#board.flash(label);
}
