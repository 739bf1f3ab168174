// Messages: read aloud (a live region), or shown for a while at the bottom.
import { byId, make } from "./dom.js";

const live = byId("live");
const toasts = byId("toasts");
let pending = 0;

/** Have a screen reader say something, without delaying what is on the screen. */
export function say(text) {
  clearTimeout(pending);
  pending = setTimeout(() => { live.textContent = text; }, 30);
}

/** Show a message for some seconds. */
export function toast(text, { seconds = 5 } = {}) {
  const box = make("div", { class: "toast", dir: "auto" }, text);
  toasts.append(box);
  while (toasts.children.length > 3) toasts.firstChild.remove();
  setTimeout(() => box.remove(), seconds * 1000);
}
