// Answers on their way to the server: in order, again and again until they arrive, and kept over a reload.
import { post, Refused } from "./api.js";

const FIRST_WAIT_MS = 400;
const LONGEST_WAIT_MS = 15000;

/**
 * One entry is `{path, body, tickets, what, back, needsHave}`: what is posted where, the tickets that it is about, a word
 * for messages, the questions that come back if it is refused, and whether the server is to send new questions for it.
 *
 * `hooks`: `have()` gives the tickets that the page still holds; `onSent(entry, reply)`, `onRefused(entry, error)`,
 * `onSignedOut()`, `onState({isDown, n, wait_ms})`.
 */
export class Outbox {
  #entries;
  #storeKey;
  #hooks;
  #isBusy = false;
  #isSignedOut = false;
  #wait_ms = 0;
  #timer = 0;

  constructor(person, hooks) {
    this.#hooks = hooks;
    this.#storeKey = `llm_al.outbox:${document.body.dataset.base}:${person}`;
    this.#entries = this.#load();
    addEventListener("online", () => this.tryNow());
  }

  get length() {
    return this.#entries.length;
  }

  /** Whether the newest thing that waits here is the answer to just these tickets, and was never sent. */
  holds(tickets) {
    const newest = this.#entries.at(-1);
    if (!newest || newest.wasTried || !newest.back?.length) return false;
    return newest.tickets.length === tickets.length && tickets.every((ticket) => newest.tickets.includes(ticket));
  }

  /** Every ticket that something in here is about. */
  get tickets() {
    return this.#entries.flatMap((entry) => entry.tickets);
  }

  add(entry) {
    this.#entries.push(entry);
    this.#save();
    this.#drain();
  }

  /** Take the newest entry back before it has left. */
  pop() {
    const entry = this.#entries.pop();
    this.#save();
    return entry;
  }

  /** Send what waits, at once. */
  tryNow() {
    clearTimeout(this.#timer);
    this.#isSignedOut = false;
    this.#timer = 0;
    this.#drain();
  }

  async #drain() {
    if (this.#isBusy || this.#timer || this.#isSignedOut) return;
    this.#isBusy = true;
    while (this.#entries.length && !this.#timer && !this.#isSignedOut) await this.#sendFirst(this.#entries[0]);
    this.#isBusy = false;
  }

  async #sendFirst(entry) {
    entry.wasTried = true;
    try {
      const held = entry.needsHave ? { have: this.#hooks.have() } : {};
      const reply = await post(entry.path, { ...entry.body, ...held });
      this.#settle(entry);
      this.#hooks.onSent(entry, reply);
    } catch (error) {
      this.#fail(entry, error);
    }
  }

  #settle(entry) {
    this.#entries.splice(this.#entries.indexOf(entry), 1);
    this.#save();
    if (this.#wait_ms) this.#hooks.onState({ isDown: false, n: this.#entries.length, wait_ms: 0 });
    this.#wait_ms = 0;
  }

  #fail(entry, error) {
    if (error instanceof Refused && error.isSignedOut) {
      this.#isSignedOut = true;
      this.#hooks.onSignedOut();
    } else if (error instanceof Refused && !error.isPassing) {
      this.#settle(entry);
      this.#hooks.onRefused(entry, error);
    } else {
      this.#wait_ms = Math.min(this.#wait_ms ? this.#wait_ms * 2 : FIRST_WAIT_MS, LONGEST_WAIT_MS);
      this.#timer = setTimeout(() => { this.#timer = 0; this.#drain(); }, this.#wait_ms);
      this.#hooks.onState({ isDown: true, n: this.#entries.length, wait_ms: this.#wait_ms });
    }
  }

  #load() {
    try {
      return JSON.parse(sessionStorage.getItem(this.#storeKey) ?? "[]");
    } catch {
      return [];
    }
  }

  #save() {
    try {
      if (this.#entries.length) sessionStorage.setItem(this.#storeKey, JSON.stringify(this.#entries));
      else sessionStorage.removeItem(this.#storeKey);
    } catch {
      // Storage is full or switched off: the answers stay in this page and are still sent.
    }
  }
}
