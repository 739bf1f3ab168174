// The review page: which cases there are, the one at hand, and what the reviewer rules.
import { get, post } from "./api.js";
import { drawCase, drawList, drawRuling } from "./case.js";
import { NONE, wordOf } from "./words.js";
import { byId, setText } from "./dom.js";
import { keysOf } from "./forms.js";
import { listen } from "./keys.js";
import { say, toast } from "./say.js";
import { Search } from "./search.js";
import { signIn } from "./signin.js";

const PER_PAGE = 20;
const RESERVED = ["c", "d", "n", "t", "x"];
const WORDS = {
  disagreements: ["Nobody disagrees", "Texts that several annotators labelled differently are listed here."],
  label_errors: ["No likely errors", "Labels that a student, which did not learn from them, finds improbable are listed here. It needs some answers first."],
  flags: ["No flags", "Texts that somebody flagged while labelling are listed here."],
};
const state = { kind: "disagreements", cases: [], total: 0, offset: 0, at: 0, ruled: new Map() };
let scheme = null;
let search = null;
let keys = new Map();
let nLoads = 0;

const current = () => state.cases[state.at];

/** Do something with the server; an error becomes a message, a lost session a login. */
async function attempt(work) {
  try {
    return await work();
  } catch (error) {
    if (error.isSignedOut) {
      await signIn();
      return attempt(work);
    }
    toast(error.message, { seconds: 8 });
    return null;
  }
}

async function load(kind, offset = 0, at = 0) {
  nLoads += 1;
  const mine = nLoads;
  const found = await attempt(() => get(`/api/review?kind=${kind}&offset=${offset}&n=${PER_PAGE}`));
  // Somebody who is quick has chosen another list meanwhile.
  if (!found || mine !== nLoads) return;
  Object.assign(state, { kind, offset, cases: found.cases, total: found.total, at: Math.min(at, Math.max(found.cases.length - 1, 0)), asOf: found.as_of, note: found.note ?? "" });
  drawAll();
  // A list that is being made in the background is asked for again.
  if (/being made/.test(state.note)) setTimeout(() => { if (state.kind === kind && state.offset === offset && !state.cases.length) load(kind, offset, at); }, 2000);
}

function drawAll() {
  for (const tab of document.querySelectorAll('[role="tab"]')) {
    const isChosen = tab.dataset.kind === state.kind;
    tab.setAttribute("aria-selected", String(isChosen));
    tab.tabIndex = isChosen ? 0 : -1;
    if (isChosen) setText(tab.querySelector(".count"), String(state.total));
  }
  byId("panel").setAttribute("aria-labelledby", `tab-${state.kind}`);
  const when = state.asOf ? `As of ${new Date(state.asOf * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" })}.` : "";
  setText(byId("list-note"), [when, state.note && `${state.note[0].toUpperCase()}${state.note.slice(1)}.`].filter(Boolean).join(" "));
  byId("page-back").hidden = state.offset === 0;
  byId("page-on").hidden = state.offset + state.cases.length >= state.total;
  drawOne();
}

function drawOne() {
  const shown = current();
  for (const id of ["case", "rule"]) byId(id).hidden = !shown;
  document.querySelector(".cases").hidden = !shown;
  byId("empty").hidden = Boolean(shown);
  if (!shown) {
    const [title, text] = WORDS[state.kind];
    setText(byId("empty-title"), /being made/.test(state.note) ? "One moment" : title);
    setText(byId("empty-text"), text);
    return;
  }
  drawList(state, go);
  drawCase(shown, `${state.offset + state.at + 1} of ${state.total}`);
  const options = optionsOf(shown);
  keys = keysOf(options, scheme, RESERVED);
  drawRuling({ item: shown, options, keys, scheme, ruled: ruledOf(shown), isFlag: state.kind === "flags", onRule: rule });
}

const ruledOf = (item) => (state.ruled.has(item.example_id) ? state.ruled.get(item.example_id) : item.ruling);

/** Labels that somebody named, the consensus first. */
function optionsOf(item) {
  const named = [item.consensus, ...item.votes.map((vote) => vote.label), item.predicted, item.ruling];
  return [...new Set(named)].filter((label) => scheme.labels.some((known) => known.name === label)).slice(0, 9);
}

function go(at) {
  if (at < 0 || at >= state.cases.length) {
    const { next, total } = whereNext();
    const offset = at < 0 ? state.offset - PER_PAGE : next;
    if (offset >= 0 && offset < total) return load(state.kind, offset, at < 0 ? PER_PAGE - 1 : 0);
    return say(at < 0 ? "This is the first case" : "This is the last case");
  }
  state.at = at;
  drawOne();
  byId("panel").focus({ preventScroll: true });
  return say(`Case ${state.offset + at + 1} of ${state.total}. ${current().text.slice(0, 200)}`);
}

async function rule(label) {
  const item = current();
  if (!item) return;
  if (label === NONE && !scheme.is_open) return void say("This project has a label for every text");
  const body = { example_id: item.example_id, label, note: byId("rule-note").value.trim(), is_gold: byId("rule-gold").checked };
  if (!(await attempt(() => post("/api/rulings", body)))) return;
  state.ruled.set(item.example_id, label);
  const isFlag = state.kind === "flags";
  if (isFlag && label !== null) await attempt(() => post("/api/flags/settle", { example_id: item.example_id }));
  toast(label === null ? "The ruling is withdrawn" : `Ruled ${wordOf(label)}${body.is_gold ? ", a check question from now on" : ""}`, { seconds: 3 });
  advance(label !== null);
}

async function settle() {
  const item = current();
  if (!item || state.kind !== "flags") return;
  if (!(await attempt(() => post("/api/flags/settle", { example_id: item.example_id })))) return;
  state.ruled.set(item.example_id, item.ruling ?? "");
  toast("Done", { seconds: 2 });
  advance(true);
}

/** Go to the next case; at the end of the page, see what is left. */
function advance(isDone) {
  if (!isDone) return drawOne();
  if (state.at + 1 < state.cases.length) return go(state.at + 1);
  const { next, total } = whereNext();
  return load(state.kind, next < total ? next : 0);
}

/** Where the next page begins: what was ruled leaves the list. */
function whereNext() {
  const isLeft = ({ example_id: id }) => !state.ruled.has(id) || state.ruled.get(id) === null;
  const nLeft = state.cases.filter(isLeft).length;
  return { next: state.offset + nLeft, total: state.total - state.cases.length + nLeft };
}

function nextTab(step = 1) {
  const tabs = [...document.querySelectorAll('[role="tab"]')];
  const at = tabs.findIndex((tab) => tab.dataset.kind === state.kind);
  const tab = tabs[(at + step + tabs.length) % tabs.length];
  tab.focus();
  load(tab.dataset.kind);
}

function acceptConsensus() {
  const { consensus } = current() ?? {};
  if (consensus) rule(consensus);
  else say("There is no consensus to accept");
}

const KEYS = {
  Left: () => go(state.at - 1),
  Right: () => go(state.at + 1),
  Enter: acceptConsensus,
  x: () => rule(NONE),
  "/": () => search.open(),
  n: () => byId("rule-note").focus(),
  c: () => byId("rule-gold").click(),
  d: settle,
  t: () => nextTab(),
};

function onKey(name, event) {
  const isTab = event.target instanceof Element && event.target.matches('[role="tab"]');
  if (isTab && (name === "Left" || name === "Right")) nextTab(name === "Left" ? -1 : 1);
  else if (keys.has(name) && current()) rule(keys.get(name));
  else if (name in KEYS) KEYS[name]();
  else return false;
  return true;
}

function onSubmit() {
  if (!search.take()) acceptConsensus();
  return true;
}

async function count(kind) {
  const found = await attempt(() => get(`/api/review?kind=${kind}&offset=0&n=1`));
  if (found) setText(byId(`tab-${kind}`).querySelector(".count"), String(found.total));
}

/** A list can be chosen before anything is there. */
function wireTabs() {
  for (const tab of document.querySelectorAll('[role="tab"]')) {
    tab.addEventListener("click", () => {
      state.kind = tab.dataset.kind;
      if (search) load(state.kind);
    });
  }
}

function wire() {
  const buttons = { "page-back": () => load(state.kind, Math.max(state.offset - PER_PAGE, 0)), "page-on": () => load(state.kind, whereNext().next), "case-back": () => go(state.at - 1), "case-on": () => go(state.at + 1), settle, withdraw: () => rule(null) };
  for (const [id, work] of Object.entries(buttons)) byId(id).addEventListener("click", work);
  byId("rule-note").addEventListener("keydown", (event) => { if (event.key === "Escape") byId("panel").focus(); });
  listen({ onKey, onSubmit });
}

async function start() {
  scheme = await attempt(() => get("/api/scheme"));
  if (!scheme) return void setTimeout(start, 3000);
  search = new Search(scheme.labels, { onChoose: rule, onLeave: () => byId("panel").focus({ preventScroll: true }) });
  wire();
  await load(state.kind);
  await Promise.all(["disagreements", "label_errors", "flags"].filter((kind) => kind !== state.kind).map(count));
}

wireTabs();
start();
