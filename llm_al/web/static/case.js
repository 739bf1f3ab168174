// Draws a case of the review page: votes side by side, consensus, the student's view, what can be ruled.
import { labelButton } from "./board.js";
import { byId, fill, make, setText } from "./dom.js";
import { NONE, percent, wordOf } from "./words.js";

const KINDS = { human: "person", llm: "LLM", simulated: "simulated person", rule: "rule", student: "student" };

function meter(value) {
  const bar = make("i");
  bar.style.width = `${Math.round(value * 100)}%`;
  return make("span", { class: "meter", "aria-hidden": "true" }, bar);
}

function voteCard({ who, kind, label, score, scoreWord, lines = [], mark = "" }) {
  const badge = kind ? make("span", { class: "badge", data: { kind } }, KINDS[kind] ?? kind) : null;
  const share = score === null || score === undefined ? null : make("p", { class: "small number" }, `${scoreWord} ${percent(score)}`);
  return make(
    "div", { class: `vote ${mark}`.trim() }, make("div", { class: "vote-who" }, who ? make("span", { dir: "auto" }, who) : null, badge), make("p", { class: "vote-label", dir: "auto" }, wordOf(label)),
    share ? meter(score) : null, share, ...lines.map((line) => make("p", { class: "small muted", dir: "auto" }, line)),
  );
}

const nameOf = (source) => source.replace(/^human:/, "");

function fromVote(vote, consensus) {
  const lines = [vote.note && `Note: ${vote.note}`, vote.is_suggestion_shown && "had a suggestion in sight"].filter(Boolean);
  const mark = consensus && vote.label !== consensus && vote.label !== "skip" ? "against" : "";
  return voteCard({ who: nameOf(vote.source), kind: vote.kind, label: vote.label, score: vote.confidence, scoreWord: "confidence", lines, mark });
}

/** Draw the text and what everybody said about it. */
export function drawCase(item, place) {
  setText(byId("case-place"), place);
  setText(byId("case-note"), item.note);
  setText(byId("case-text"), item.text);
  byId("case-text").scrollTop = 0;
  const cards = item.votes.map((vote) => fromVote(vote, item.consensus));
  if (item.consensus) cards.unshift(voteCard({ who: "All together", kind: "", label: item.consensus, score: item.posterior, scoreWord: "posterior", mark: "consensus" }));
  if (item.predicted) cards.push(voteCard({ who: "", kind: "student", label: item.predicted, score: item.predicted_score, scoreWord: "probability", mark: item.consensus && item.predicted !== item.consensus ? "against" : "" }));
  fill(byId("votes"), ...(cards.length ? cards : [make("p", { class: "muted" }, "Nobody has labelled this text yet.")]));
}

/** Draw what can be ruled, with a key each. */
export function drawRuling({ item, options, keys, scheme, ruled, isFlag, onRule }) {
  const keyOf = new Map([...keys].map(([key, name]) => [name, key]));
  const buttons = options.map((name) => {
    const label = scheme.labels.find((known) => known.name === name);
    const button = labelButton(label, { key: keyOf.get(name) ?? "", onChoose: onRule });
    if (name === item.consensus) button.lastChild.textContent = "consensus ↵";
    if (name === ruled) button.classList.add("chosen");
    return button;
  });
  if (scheme.is_open) buttons.push(labelButton({ name: "None of these", description: "", key: "x" }, { key: "x", onChoose: () => onRule(NONE) }));
  fill(byId("offered"), ...buttons);
  byId("ruled").hidden = !ruled;
  setText(byId("ruled"), ruled ? `Ruled: ${wordOf(ruled)}` : "");
  byId("withdraw").hidden = !ruled;
  byId("settle").hidden = !isFlag;
  byId("rule-note").value = "";
  byId("rule-gold").checked = false;
}

/** Draw the list of cases beside the one at hand. */
export function drawList(state, onGo) {
  const rows = state.cases.map((item, n) => {
    const isDone = state.ruled.get(item.example_id) !== undefined && state.ruled.get(item.example_id) !== null;
    const mark = make("span", { class: "done", "aria-label": isDone ? "dealt with" : null }, isDone ? "✓" : "");
    return make("li", {}, make("button", { type: "button", "aria-current": n === state.at ? "true" : null, on: { click: () => onGo(n) } }, make("span", { dir: "auto" }, item.text.slice(0, 160)), mark));
  });
  fill(byId("cases"), ...rows);
  byId("cases").children[state.at]?.scrollIntoView({ block: "nearest", inline: "nearest" });
}
