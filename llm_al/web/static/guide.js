// The guidelines beside the text; they stay open from text to text and from visit to visit.
import { get } from "./api.js";
import { byId, fill, make } from "./dom.js";
import { render } from "./markdown.js";

const KEY = "llm_al.guide";

export class Guide {
  #panel = byId("guide");
  #button = document.querySelector('[data-do="guide"]');
  #isLoaded = false;

  constructor() {
    try {
      if (localStorage.getItem(KEY) === "open" && innerWidth >= 1100) this.#open();
    } catch {
      // Without storage it begins closed.
    }
  }

  toggle() {
    if (this.#panel.hidden) this.#open();
    else this.close();
  }

  close() {
    if (this.#panel.hidden) return false;
    this.#set(false);
    return true;
  }

  #open() {
    this.#set(true);
    if (!this.#isLoaded) this.#load();
    if (innerWidth < 1100) this.#panel.scrollIntoView({ block: "nearest" });
  }

  #set(isOpen) {
    this.#panel.hidden = !isOpen;
    byId("desk").classList.toggle("guided", isOpen);
    this.#button.setAttribute("aria-expanded", String(isOpen));
    try {
      localStorage.setItem(KEY, isOpen ? "open" : "closed");
    } catch {
      // It is forgotten with the page.
    }
  }

  async #load() {
    const close = make("button", { type: "button", class: "quiet small", on: { click: () => this.close() } }, "Close", make("kbd", { "aria-hidden": "true" }, "g"));
    const head = make("div", { class: "row spread" }, make("h2", {}, "Guidelines"), close);
    try {
      const { text } = await get("/api/guidelines");
      fill(this.#panel, head, make("div", { class: "prose", tabindex: "0", role: "group", "aria-label": "Guidelines" }, text ? render(text) : "This project has no guidelines yet."));
      this.#isLoaded = true;
    } catch (error) {
      fill(this.#panel, head, make("p", {}, `The guidelines could not be fetched: ${error.message}.`));
    }
  }
}
