// The label page: joins the parts. Keys and buttons come in here; `desk.js` holds what happens.
import { get } from "./api.js";
import { Answers } from "./answers.js";
import { focusText, scrollText } from "./card.js";
import { Desk } from "./desk.js";
import { askFlag, askNote, showHelp } from "./dialogs.js";
import { byId } from "./dom.js";
import { Guide } from "./guide.js";
import { listen } from "./keys.js";
import { Outbox } from "./outbox.js";
import { say, toast } from "./say.js";
import { signIn } from "./signin.js";
import { Surroundings } from "./surroundings.js";
import { NONE, SKIP } from "./words.js";

const guide = new Guide();
const outbox = new Outbox(document.body.dataset.person, { have: () => desk.have, onSent, onRefused, onSignedOut: signInAgain, onState });
const desk = new Desk(outbox, () => surroundings.draw());
const surroundings = new Surroundings(desk, outbox, look);
let began = 0;
let isOpen = true;

function onSent(entry, reply) {
  if (entry.what === "flag") toast("Flagged for a reviewer", { seconds: 3 });
  if (reply.item) desk.refresh(reply.item);
  if (reply.standing) desk.take(reply);
  if (desk.isShort && !outbox.length) look();
}

function onRefused(entry, error) {
  const isGone = error.status === 409 || error.status === 404;
  if (entry.what === "undo" && isGone) return;
  if (isGone && entry.back?.length) {
    desk.forget(entry.back);
    toast(`${entry.what} was not needed any more: ${error.message}`, { seconds: 8 });
  } else {
    desk.bringBack(entry.back ?? []);
    surroundings.warn(`${entry.what} was not taken: ${error.message}`);
  }
  look();
}

function onState(state) {
  surroundings.connection = state;
  surroundings.draw();
}

async function signInAgain() {
  await signIn();
  surroundings.connection = null;
  outbox.tryNow();
  await look();
}

/** Ask the server for texts; what fails is tried again by the surroundings. */
async function look() {
  try {
    await desk.refill();
    if (!outbox.length) surroundings.connection = null;
  } catch (error) {
    if (error.isSignedOut) return signInAgain();
    surroundings.connection = { isDown: true, n: outbox.length, wait_ms: 0 };
  }
  surroundings.draw();
  return undefined;
}

function answer(label) {
  if (label === NONE && !isOpen) return say("This project has a label for every text; skip what you cannot tell");
  if (desk.ticket?.form === "bulk" && !desk.past.shown) return say("Accept these texts with Enter, or press 0 to answer one by one");
  return desk.answer(label, { began: began || performance.now() });
}

async function writeNote() {
  if (!desk.ticket) return;
  const { text, isSubmit } = await askNote(desk.note);
  focusText();
  if (text !== null) desk.keepNote(text);
  if (isSubmit) submit();
}

async function flag() {
  if (!desk.ticket) return;
  const text = await askFlag();
  focusText();
  if (text !== null) desk.flag(text);
}

/** Ctrl+Enter: what is highlighted, else what is suggested, else the same answer again. */
function submit() {
  const entry = desk.past.shown;
  if (desk.answers.takeFound()) return true;
  if (entry) answer(entry.label);
  else if (desk.ticket && !desk.answers.accept()) say("No suggestion to accept; choose a label");
  return true;
}

const DO = {
  skip: () => answer(SKIP),
  none: () => answer(NONE),
  undo: () => desk.undo(),
  older: () => desk.step(1),
  newer: () => desk.step(-1),
  note: writeNote,
  flag,
  guide: () => guide.toggle(),
  help: () => showHelp(desk.answers.scheme),
  find: () => desk.ticket && desk.answers.find(),
};
const KEYS = { Space: "skip", x: "none", Backspace: "undo", u: "undo", Left: "older", Right: "newer", n: "note", f: "flag", g: "guide", "?": "help", "/": "find" };
const SCROLLS = { Up: -3, Down: 3, PageUp: -10, PageDown: 10 };
const WITHOUT_TEXT = ["undo", "older", "newer", "guide", "help"];

function onKey(name, event) {
  began = event.timeStamp;
  const isUsed = useKey(name);
  began = 0;
  return isUsed;
}

function useKey(name) {
  if (desk.ticket && desk.answers.onKey(name)) return true;
  if (name in KEYS) {
    if (desk.ticket || WITHOUT_TEXT.includes(KEYS[name])) DO[KEYS[name]]();
    return true;
  }
  if (name in SCROLLS) {
    scrollText(SCROLLS[name]);
    return true;
  }
  if (name === "Escape") return desk.toNow() || guide.close();
  if (name !== "Enter") return false;
  if (desk.ticket) submit();
  else look();
  return true;
}

async function start() {
  const scheme = await get("/api/scheme");
  isOpen = scheme.is_open;
  const onChooseMany = (parts) => desk.answerMany(parts, { began: began || performance.now() });
  desk.answers = new Answers(scheme, { onChoose: answer, onChooseMany, onLeave: focusText });
  document.querySelector('[data-do="none"]').hidden = !isOpen;
  for (const button of document.querySelectorAll("[data-do]")) button.addEventListener("click", () => DO[button.dataset.do]());
  listen({ onKey, onSubmit: submit });
  outbox.tryNow();
  await look();
  focusText();
  await loadHistory();
}

async function loadHistory() {
  try {
    desk.past.load((await get("/api/history?n=50")).answers);
  } catch {
    // Answers of this page are there all the same.
  }
}

async function startUntilItWorks() {
  try {
    await start();
  } catch (error) {
    if (error.isSignedOut) await signIn();
    else surroundings.warn(`This page could not be filled: ${error.message}. Trying again.`);
    setTimeout(startUntilItWorks, 2000);
  }
}

startUntilItWorks();
