// Answers of this person, newest first: of this page and, before them, what the server remembers.

export class Past {
  at = -1;
  #entries = [];

  /** The entry that is looked at, or undefined. */
  get shown() {
    return this.at < 0 ? undefined : this.#entries[this.at];
  }

  /** Put what the server remembers behind the answers of this page. */
  load(answers) {
    const known = new Set(this.#entries.map((entry) => entry.ticket.id));
    const rest = { form: "list", options: [], suggestions: [], members: [], reason: "", is_blind: false };
    for (const { ticket, text, label, note, is_suggestion_shown: isShown } of answers) {
      if (!known.has(ticket)) this.#entries.push({ ticket: { id: ticket, text, ...rest }, label, note: note ?? "", isShown: Boolean(isShown) });
    }
  }

  /** A text that is answered again has one entry, the new one. */
  add(entry) {
    this.drop(new Set([entry.ticket.id]));
    this.#entries.unshift(entry);
  }

  /** Remove and return the entry that is looked at, or the newest, with those of the same bulk answer. */
  takeBack() {
    const entry = this.shown ?? this.#entries[0];
    if (!entry) return [];
    const isSame = (other) => other === entry || (entry.bulk && other.bulk === entry.bulk);
    const taken = this.shown ? [entry] : this.#entries.filter(isSame);
    this.#entries = this.#entries.filter((other) => !taken.includes(other));
    this.at = -1;
    return taken.reverse();
  }

  drop(ids) {
    this.#entries = this.#entries.filter((entry) => !ids.has(entry.ticket.id));
    this.at = Math.min(this.at, this.#entries.length - 1);
  }

  older() {
    if (this.at + 1 >= this.#entries.length) return false;
    this.at += 1;
    return true;
  }

  newer() {
    if (this.at < 0) return false;
    this.at -= 1;
    return true;
  }

  leave() {
    const wasPast = this.at >= 0;
    this.at = -1;
    return wasPast;
  }
}
