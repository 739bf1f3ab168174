// The label page's state: texts that wait here, the one at hand, and the answers given so far.
import { get } from "./api.js";
import { drawLast, drawNote, drawText, focusText } from "./card.js";
import { Clock } from "./clock.js";
import { measure, noteAnswer } from "./pace.js";
import { Past } from "./past.js";
import { say, toast } from "./say.js";
import { wordOf } from "./words.js";

const AHEAD = 3;
const MOST_AHEAD = 9;

export class Desk {
  standing = null;
  past = new Past();
  answers;
  #waiting = [];
  #notes = new Map();
  #outbox;
  #clock = new Clock();
  #shown = null;
  #began = null;
  #ahead = AHEAD;
  #onChange;

  constructor(outbox, onChange) {
    this.#outbox = outbox;
    this.#onChange = onChange;
  }

  /** The text at hand, or undefined. */
  get now() {
    return this.#waiting[0];
  }

  /** What is on the screen: an earlier answer or the text at hand. */
  get ticket() {
    return this.past.shown?.ticket ?? this.now;
  }

  get note() {
    return this.past.shown ? this.past.shown.note : this.#notes.get(this.now?.id) ?? "";
  }

  /** Tickets that are here and unanswered. */
  get have() {
    return this.#waiting.flatMap((ticket) => (ticket.members?.length ? [ticket.id, ...ticket.members.map((member) => member.ticket)] : [ticket.id]));
  }

  /** Whether more texts are wanted here than the server sends by itself: somebody was quicker than it. */
  get isShort() {
    return this.#ahead > AHEAD && this.#waiting.length < this.#ahead && (this.standing?.waiting ?? 0) > this.#waiting.length;
  }

  async refill() {
    const have = [...new Set([...this.have, ...this.#outbox.tickets])];
    this.take(await get(`/api/next?n=${this.#ahead + this.#outbox.length}&have=${have.join(",")}`));
  }

  /** Put new texts behind the others. */
  take({ items = [], standing }) {
    const known = new Set([...this.have, ...this.#outbox.tickets]);
    this.#waiting.push(...items.filter((ticket) => !known.has(ticket.id)));
    if (standing) this.standing = standing;
    this.show();
  }

  /** Draw what is at hand; nothing is drawn twice. */
  show({ isAgain = false } = {}) {
    const entry = this.past.shown;
    const ticket = this.ticket;
    const key = ticket && `${entry ? "past" : "now"} ${ticket.id} ${ticket.form}`;
    if (ticket && (isAgain || key !== this.#shown)) {
      const where = entry ? `${this.past.at + 1} back: ${wordOf(entry.label)}` : "Now";
      drawText(ticket, { where, isPast: Boolean(entry), note: this.note });
      this.answers.draw(ticket, { isPast: Boolean(entry), chosen: entry?.label });
      if (ticket.form === "bulk" && !entry) document.getElementById("member-0")?.focus({ preventScroll: true });
      if (!isAgain) this.#clock.start();
      if (this.#began !== null) measure(this.#began);
      this.#began = null;
    }
    if (!ticket && this.#began !== null && this.#outbox.length) this.#ahead = Math.min(this.#ahead + 2, MOST_AHEAD);
    this.#shown = key;
    this.#onChange();
  }

  /** Give the text on the screen a label and go on with the next at once; the answer is sent behind it. */
  answer(label, { began = performance.now() } = {}) {
    const ticket = this.ticket;
    if (!ticket) return;
    if (this.past.shown) this.#change(label);
    else this.#settle(ticket, label);
    this.#leaveButton();
    this.#advance(began);
    this.answers.flash(label);
    this.#tell(wordOf(label));
  }

  #settle(ticket, label) {
    const isShown = this.answers.isSuggestionShown(ticket) || Boolean(ticket.wasProposed);
    const reply = { ticket: ticket.id, label, seconds: this.#clock.seconds, note: this.note, is_suggestion_shown: isShown, form: ticket.form };
    this.#waiting.shift();
    this.past.add({ ticket, label, note: reply.note, isShown });
    this.#send("/api/answers", reply, [ticket]);
    this.#notes.delete(ticket.id);
  }

  #change(label) {
    const entry = this.past.shown;
    const reply = { ticket: entry.ticket.id, label, seconds: null, note: entry.note, is_suggestion_shown: entry.isShown, form: "list" };
    toast(entry.label === label ? `Still ${wordOf(label)}` : `Changed from ${wordOf(entry.label)} to ${wordOf(label)}`, { seconds: 3 });
    entry.label = label;
    this.#send("/api/answers", reply, [entry.ticket], "change");
    this.past.newer();
  }

  /** One label for several texts; those taken out are asked one by one, at once. */
  answerMany({ kept, out }, { began = performance.now() } = {}) {
    const ticket = this.now;
    const [label] = ticket.options;
    const seconds = Math.round((this.#clock.seconds / ticket.members.length) * 1000) / 1000;
    const shared = { label, seconds, note: this.note, is_suggestion_shown: true, form: "bulk" };
    this.#waiting.shift();
    this.#waiting.unshift(...out.map((member) => single(ticket, member)));
    if (kept.length) {
      for (const member of kept) this.past.add({ ticket: single(ticket, member), label, note: shared.note, isShown: true, bulk: ticket });
      const body = { replies: kept.map((member) => ({ ticket: member.ticket, ...shared })) };
      const entry = { path: "/api/bulk", body, tickets: kept.map((member) => member.ticket), what: `${label} for ${kept.length} texts` };
      this.#outbox.add({ ...entry, needsHave: true, back: kept.map((member) => single(ticket, member)) });
    }
    this.#notes.delete(ticket.id);
    this.#leaveButton();
    this.#advance(began);
    this.#tell(kept.length ? `${label} for ${kept.length} texts` : "one by one");
  }

  /** Take back the answer on the screen, or the newest one, and ask its text again. */
  undo() {
    const entries = this.past.takeBack();
    if (!entries.length) return say("Nothing to take back");
    this.#retract(entries.map((entry) => entry.ticket.id));
    const [{ ticket, label, note }] = entries;
    const whole = entries[0].bulk && entries.length === entries[0].bulk.members.length ? entries[0].bulk : null;
    if (whole) this.#waiting.unshift(whole);
    else this.#waiting.unshift(...entries.map((entry) => entry.ticket));
    if (note) this.#notes.set(ticket.id, note);
    this.#shown = null;
    this.show();
    focusText();
    drawLast(wordOf(label), { isUndone: true });
    say(`Taken back: ${wordOf(label)}. ${ticket.text.slice(0, 200)}`);
    return undefined;
  }

  #retract(ids) {
    if (this.#outbox.holds(ids)) this.#outbox.pop();
    else for (const id of ids) this.#outbox.add({ path: "/api/undo", body: { ticket: id }, tickets: [id], what: "undo" });
  }

  /** The server's view of a text that was taken back: with its form and suggestions. */
  refresh(item) {
    const at = this.#waiting.findIndex((ticket) => ticket.id === item.id);
    if (at < 0) return;
    const old = this.#waiting[at];
    // A bulk question that was put together again stays whole.
    if (old.members?.length || isSame(old, item)) return;
    this.#waiting[at] = { ...item, wasProposed: old.wasProposed };
    if (at === 0 && !this.past.shown) this.show({ isAgain: true });
  }

  /** Bring texts back whose answer was not taken. */
  bringBack(tickets) {
    const ids = new Set(tickets.map((ticket) => ticket.id));
    this.past.drop(ids);
    this.#waiting = [...tickets, ...this.#waiting.filter((ticket) => !ids.has(ticket.id))];
    this.past.leave();
    this.show({ isAgain: true });
  }

  /** Forget texts that somebody else has now. */
  forget(tickets) {
    const ids = new Set(tickets.map((ticket) => ticket.id));
    this.past.drop(ids);
    this.#waiting = this.#waiting.filter((ticket) => !ids.has(ticket.id));
    this.show();
  }

  /** Step to an earlier (1) or later (-1) answer. */
  step(by) {
    const isMoved = by > 0 ? this.past.older() : this.past.newer();
    if (!isMoved) return say(by > 0 ? "No earlier answer" : "This is the newest text");
    this.show();
    const entry = this.past.shown;
    say(entry ? `Earlier answer: ${wordOf(entry.label)}. ${entry.ticket.text.slice(0, 200)}` : `Now: ${this.now?.text.slice(0, 200) ?? ""}`);
    return undefined;
  }

  toNow() {
    if (!this.past.leave()) return false;
    this.show();
    return true;
  }

  /** Keep a note for the answer of the text on the screen. */
  keepNote(text) {
    const entry = this.past.shown;
    if (!entry) this.#notes.set(this.now.id, text);
    else if (entry.note !== text) {
      entry.note = text;
      const reply = { ticket: entry.ticket.id, label: entry.label, seconds: null, note: text, is_suggestion_shown: entry.isShown, form: "list" };
      this.#send("/api/answers", reply, [entry.ticket], "change");
    }
    drawNote(text);
  }

  flag(note) {
    const { id } = this.ticket;
    this.#outbox.add({ path: "/api/flags", body: { ticket: id, note }, tickets: [id], what: "flag" });
  }

  #send(path, body, tickets, what = wordOf(body.label)) {
    this.#outbox.add({ path, body, tickets: tickets.map((ticket) => ticket.id), what, needsHave: true, back: what === "change" ? [] : tickets });
  }

  /** Show what comes next, and measure how long that takes from the key on. */
  #advance(began) {
    this.#began = began;
    noteAnswer();
    this.show();
  }

  #leaveButton() {
    if (document.activeElement !== document.body && document.activeElement?.closest("#answers, .tools, #members")) focusText();
  }

  #tell(word) {
    drawLast(word);
    const next = this.ticket;
    say(next ? `${word}. Next: ${next.text.slice(0, 300)}` : `${word}.`);
  }
}

const isSame = (a, b) => ["text", "form", "options", "suggestions"].every((name) => JSON.stringify(a[name]) === JSON.stringify(b[name]));

/** A text of a bulk question as a question of its own. */
function single(ticket, member) {
  const own = { id: member.ticket, text: member.text, example_id: "", form: "list", options: [], suggestions: [], members: [] };
  return { ...own, reason: ticket.reason, is_blind: false, wasProposed: true };
}
