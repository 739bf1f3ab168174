// What stands around the text: counts, the banner, and the card that is shown when there is nothing to label.
import { byId, fill, make, setText } from "./dom.js";
import { pace } from "./pace.js";
import { say } from "./say.js";

const RENEW_S = 120;
const WAITS_S = { learning: [1, 2, 2, 3, 5], empty: [2, 3, 5, 8, 12, 15], finished: [15, 30, 60], down: [1, 2, 4, 8, 15] };

const STATES = {
  loading: () => ["Looking for a text", ""],
  learning: () => ["Learning from the answers", "A round is running: the model is trained on what was answered, then it asks for what it knows least about. This page goes on by itself."],
  finished: ({ mine }) => ["Finished. Thank you!", `No more questions are planned in this project.${mine ? ` You gave ${mine} ${mine === 1 ? "answer" : "answers"}.` : ""}`],
  empty: ({ waiting }) => waiting
    ? ["Nothing for you just now", `${waiting} ${waiting === 1 ? "text waits" : "texts wait"} for others: somebody has them on the screen, or you have answered or skipped them already.`]
    : ["Everything is answered for now", "New questions come with the next round. This page goes on by itself."],
  down: () => ["The server does not answer", "Nothing is lost: what you answered is kept in this tab and sent as soon as the server is back. Leave the tab open."],
};

export class Surroundings {
  /** What the outbox said last about the connection, or null. */
  connection = null;
  #desk;
  #outbox;
  #look;
  #state = "";
  #nTries = 0;
  #timer = 0;
  #warning = "";

  constructor(desk, outbox, look) {
    this.#desk = desk;
    this.#outbox = outbox;
    this.#look = look;
    byId("state-again").addEventListener("click", () => this.#lookNow());
    document.addEventListener("visibilitychange", () => { if (!document.hidden && !desk.now) this.#lookNow(); });
    setInterval(() => { if (!document.hidden && desk.now && !this.connection) look(); }, RENEW_S * 1000);
  }

  /** Show a sentence until the next answer. */
  warn(text) {
    this.#warning = text;
    this.draw();
    say(text);
  }

  draw() {
    this.#drawCounts();
    this.#drawBanner();
    this.#drawState(this.#desk.ticket ? "" : this.#reason());
  }

  #reason() {
    if (this.connection?.isDown) return "down";
    if (!this.#desk.standing || this.#outbox.length) return "loading";
    const { state } = this.#desk.standing;
    return state in STATES ? state : "empty";
  }

  #drawCounts() {
    const { standing } = this.#desk;
    if (!standing) return;
    const speed = pace();
    setText(byId("waiting"), String(standing.waiting));
    setText(byId("mine"), String(standing.mine_today + this.#outbox.length));
    setText(byId("pace"), speed === null ? "-" : speed.toFixed(speed < 10 ? 1 : 0));
    byId("counts").hidden = false;
  }

  #drawBanner() {
    const banner = byId("banner");
    const n = this.#outbox.length;
    const isDown = Boolean(this.connection?.isDown && this.#desk.ticket);
    banner.hidden = !isDown && !this.#warning;
    if (banner.hidden) return;
    const sentence = `The server does not answer. ${n} ${n === 1 ? "answer is" : "answers are"} kept in this tab and will be sent; you can go on.`;
    const again = make("button", { type: "button", on: { click: () => this.#lookNow() } }, "Try now");
    const close = make("button", { type: "button", class: "quiet", on: { click: () => { this.#warning = ""; this.draw(); } } }, "Close");
    fill(banner, make("span", { dir: "auto" }, isDown ? sentence : this.#warning), isDown ? again : close);
  }

  #drawState(state) {
    byId("desk").classList.toggle("idle", state !== "");
    byId("state").hidden = state === "";
    if (state !== this.#state) this.#enter(state);
    if (!state) return;
    const { standing } = this.#desk;
    const [title, text] = STATES[state](standing ?? {});
    setText(byId("state-title"), title);
    setText(byId("state-text"), text);
    setText(byId("state-more"), this.#count(state));
    this.#lookLater(state);
  }

  #count(state) {
    const { standing } = this.#desk;
    const n = this.#outbox.length;
    if (state === "down") return n ? `${n} ${n === 1 ? "answer waits" : "answers wait"} in this tab.` : "";
    return standing && state !== "loading" ? `${standing.mine_today} of your answers are from today, ${standing.mine} in all.` : "";
  }

  #enter(state) {
    this.#state = state;
    this.#nTries = 0;
    clearTimeout(this.#timer);
    this.#timer = 0;
    byId("state").dataset.state = state;
    if (!state) return;
    this.#desk.answers?.clear();
    if (state !== "loading") say(STATES[state](this.#desk.standing ?? {}).join(". "));
  }

  #lookLater(state) {
    const waits = WAITS_S[state];
    if (!waits || this.#timer) return;
    const wait_s = waits[Math.min(this.#nTries, waits.length - 1)];
    this.#nTries += 1;
    this.#timer = setTimeout(() => { this.#timer = 0; if (document.hidden) this.#lookLater(state); else this.#lookNow(); }, wait_s * 1000);
  }

  #lookNow() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    this.#outbox.tryNow();
    this.#look();
  }
}
