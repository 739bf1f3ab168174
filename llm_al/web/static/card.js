// The text at hand and what stands around it.
import { byId, setText } from "./dom.js";

const text = byId("text");
const place = byId("place");
const reason = byId("reason");
const last = byId("last");
const noted = byId("noted");
const LONG = 600;

/** Draw a text. `where` says what it is: "Now", or which earlier answer. */
export function drawText(ticket, { where = "Now", isPast = false, note = "" }) {
  setText(text, ticket.text);
  text.classList.toggle("long", ticket.text.length > LONG);
  text.hidden = ticket.form === "bulk" && !isPast;
  if (text.scrollTop) text.scrollTop = 0;
  letScroll();
  setText(place, where);
  place.classList.toggle("past", isPast);
  setText(reason, ticket.reason ? `asked because: ${ticket.reason}` : "");
  drawNote(note);
}

/** A text that is too long for the card can be reached with Tab, and scrolled. */
function letScroll() {
  requestAnimationFrame(() => {
    if (text.scrollHeight > text.clientHeight + 1) text.tabIndex = 0;
    else text.removeAttribute("tabindex");
  });
}

/** Scroll a long text by some lines. */
export function scrollText(lines) {
  text.scrollBy({ top: lines * 28 });
}

/** Show the note that goes with the answer. */
export function drawNote(note) {
  setText(noted, note ? `Note: ${note}` : "");
  noted.hidden = !note;
}

/** Say beside the text what the last answer was. */
export function drawLast(word, { isUndone = false } = {}) {
  setText(last, word ? `${isUndone ? "↶" : "✓"} ${word}` : "");
  last.classList.toggle("undone", isUndone);
  last.animate?.([{ opacity: 0.2 }, { opacity: 1 }], { duration: 200 });
}

/** Give the keyboard back to the page, away from a button or box that is done with. */
export function focusText() {
  const target = text.hidden ? byId("member-0") ?? byId("members") : byId("question");
  target.focus({ preventScroll: true });
}
