// The dashboard: fetched every five seconds while somebody looks at it.
import { get } from "./api.js";
import { learningCurve, minuteBars } from "./curve.js";
import { byId, fill, make, setText } from "./dom.js";
import { ago, count, dollars, duration, estimate, share, table, tile, undefinedWords } from "./figures.js";
import { signIn } from "./signin.js";

const EVERY_MS = 5000;
const STATES = { learning: "Learning", asking: "Asking", waiting: "Waiting for a run", finished: "Finished", new: "New" };
const FORMS = { list: "whole list", candidates: "a few labels first", verify: "yes or no", pair: "one of two", bulk: "similar texts at once" };
const percents = (figure) => estimate(figure, (value) => share(value));
let drawn = "";

function tiles({ progress, speed, people, cost }) {
  const budget = progress.budget === null ? "no budget set" : `${count(progress.n_counted)} of ${count(progress.budget)} labels of the budget used`;
  const rounds = `${count(progress.n_rounds)} ${progress.n_rounds === 1 ? "round" : "rounds"} so far`;
  const state = (progress.state === "finished" && progress.stop_reason) || (progress.step && `step: ${progress.step}`) || rounds;
  const left = speed.minutes_left === null ? speed.reason : `${duration(speed.minutes_left * 60)} until nothing waits`;
  const alpha = people?.agreement.krippendorff;
  const money = cost.llm_cap_usd === null ? "for the LLM, no cap" : `for the LLM, of at most ${dollars(cost.llm_cap_usd)}`;
  return make(
    "dl", { class: "tiles" },
    tile("State", STATES[progress.state] ?? progress.state, state, { isWords: true }),
    tile("Texts answered", count(progress.n_texts), budget, { meter: progress.budget ? progress.n_counted / progress.budget : null }),
    tile("Waiting", count(progress.n_waiting), `${count(progress.n_held)} on somebody's screen`),
    tile("Answers a minute", speed.per_minute.toFixed(1), `${speed.n_at_work} at work; ${left}`),
    tile("Agreement", alpha?.value === null || !alpha ? "undefined" : alpha.value.toFixed(2), alpha?.value === null || !alpha ? undefinedWords(alpha?.reason) : `Krippendorff's alpha${alpha.low === null ? "" : `, ${alpha.low.toFixed(2)} to ${alpha.high.toFixed(2)}`}`, { isWords: !alpha || alpha.value === null }),
    tile("Cost", dollars(cost.llm_usd), `${money}; ${duration(cost.human_minutes * 60)} of people's time`),
  );
}

function curvePanel({ curve }) {
  const known = curve.filter((point) => point.accuracy !== null);
  const number = (value, write) => (value === null ? "-" : write(value));
  const columns = [
    { title: "Round", cell: (point) => String(point.number) },
    { title: "Labels of people", isNumber: true, cell: (point) => count(point.n_human) },
    { title: "LLM labels", isNumber: true, cell: (point) => count(point.n_llm_accepted) },
    { title: "Accuracy", isNumber: true, cell: (point) => estimate({ value: point.accuracy, low: point.accuracy_low, high: point.accuracy_high }, (value) => share(value, 1)) },
    { title: "Macro-F1", isNumber: true, cell: (point) => number(point.macro_f1, (value) => value.toFixed(3)) },
    { title: "LLM cost", isNumber: true, cell: (point) => dollars(point.cost_usd) },
  ];
  const legend = make("p", { class: "legend" }, make("span", {}, "accuracy with 95 % interval"), make("span", { class: "second-key" }, "macro-F1"));
  const chart = known.length ? [learningCurve(curve), legend] : [make("p", { class: "muted" }, curve.length ? "No round has a measured accuracy yet: it needs a test split or an audit." : "It begins with the first finished round.")];
  return panel("Learning curve", ...chart, curve.length ? table("Finished rounds", columns, curve) : null);
}

function panel(title, ...parts) {
  return make("section", { class: "panel card pad" }, make("h2", {}, title), ...parts);
}

function speedPanel({ speed, people }) {
  const columns = [
    { title: "Form of the question", cell: (form) => FORMS[form.form] ?? (form.form || "not known") },
    { title: "Answers", isNumber: true, cell: (form) => count(form.n) },
    { title: "Median", isNumber: true, cell: (form) => duration(form.median_s) },
    { title: "Nine of ten below", isNumber: true, cell: (form) => duration(form.slow_s) },
  ];
  const forms = people?.forms.length ? table("Time of an answer by form", columns, people.forms) : null;
  return panel("Speed", make("p", { class: "muted small" }, "Answers in each of the last sixty minutes"), minuteBars(speed.recent), forms);
}

function agreementPanel({ people }) {
  const { agreement } = people;
  const rows = [["Krippendorff's alpha", agreement.krippendorff], ["Fleiss' kappa", agreement.fleiss], ["Cohen's kappa, mean of pairs", agreement.cohen]];
  const lead = `${count(agreement.n_unanimous)} of ${count(agreement.n_examples)} texts with several answers have one opinion; ${count(agreement.n_people)} people.`;
  const parts = [make("p", { class: "muted small" }, lead), table("Agreement", [{ title: "Coefficient", cell: ([name]) => name }, { title: "Value", isNumber: true, cell: ([, figure]) => estimate(figure) }], rows, { isUnseen: true })];
  if (agreement.labels.length) {
    const labels = table("Agreement by label, lowest first", [{ title: "Label", cell: ([name]) => name }, { title: "Alpha", isNumber: true, cell: ([, figure]) => estimate(figure) }], agreement.labels);
    parts.push(more("By label", labels));
  }
  if (agreement.pairs.length) {
    const columns = [
      { title: "Pair", cell: (pair) => `${pair.first.replace(/^human:/, "")} and ${pair.second.replace(/^human:/, "")}` },
      { title: "Texts", isNumber: true, cell: (pair) => count(pair.n) },
      { title: "Same answer", isNumber: true, cell: (pair) => share(pair.share) },
      { title: "Cohen's kappa", isNumber: true, cell: (pair) => estimate(pair.kappa) },
    ];
    parts.push(more("By pair", table("Agreement by pair", columns, agreement.pairs)));
  }
  return panel("Agreement", ...parts);
}

function more(title, ...parts) {
  return make("details", { data: { more: title } }, make("summary", {}, title), ...parts);
}

function peoplePanel({ people }) {
  const columns = [
    { title: "Person", cell: (person) => person.name.replace(/^human:/, "") },
    { title: "Answers", isNumber: true, cell: (person) => make("span", {}, count(person.n_answers), make("span", { class: "under" }, `${count(person.n_skips)} skips`)) },
    { title: "Median time", isNumber: true, cell: (person) => (person.median_s === null ? "-" : duration(person.median_s)) },
    { title: "Right", isNumber: true, cell: (person) => percents(person.accuracy) },
    { title: "Agrees with others", isNumber: true, cell: (person) => estimate(person.agreement) },
    { title: "On check questions", isNumber: true, cell: (person) => percents(person.gold) },
    { title: "Same answer again", isNumber: true, cell: (person) => percents(person.steadiness) },
    { title: "Takes suggestions", isNumber: true, cell: (person) => percents(person.acceptance) },
    { title: "Last answer", isNumber: true, cell: (person) => ago(person.last_s) },
  ];
  const rows = people.persons;
  return panel("People", rows.length ? table("People, most answers first", columns, rows, { isUnseen: true }) : make("p", { class: "muted" }, "Nobody has answered yet."));
}

function coveragePanel({ people }) {
  const columns = [
    { title: "Form", cell: (row) => (row.form === "list" ? "whole list (they were not shown)" : FORMS[row.form] ?? row.form) },
    { title: "Answers", isNumber: true, cell: (row) => count(row.n) },
    { title: "Meant to hold", isNumber: true, cell: (row) => share(row.nominal, 1) },
    { title: "Held", isNumber: true, cell: (row) => estimate(row.empirical, (value) => share(value, 1)) },
    { title: "Labels offered", isNumber: true, cell: (row) => row.n_options.toFixed(1) },
  ];
  const sets = people.coverage.length ? table("How often the labels offered first held the answer", columns, people.coverage) : make("p", { class: "muted" }, "No question offered a few labels first yet.");
  const rows = [["Suggestions taken", people.acceptance], ["Right with a suggestion in sight", people.accuracy_shown], ["Right without one", people.accuracy_hidden]];
  const shown = table("Suggestions", [{ title: "Suggestions", cell: ([name]) => name }, { title: "Share", isNumber: true, cell: ([, figure]) => percents(figure) }], rows, { isUnseen: true });
  return panel("Labels offered first, and suggestions", sets, shown);
}

const keyOf = (element) => element.getAttribute("aria-label") ?? element.textContent;
const stops = () => [...document.querySelectorAll("#dashboard :is(.scroll, summary)")];

/** Keep what somebody opened, scrolled and stands on while everything is drawn anew. */
function keepPlace(work) {
  const open = new Set([...document.querySelectorAll("details[open]")].map((item) => item.dataset.more));
  const scrolled = new Map(stops().map((element) => [keyOf(element), element.scrollLeft]));
  const focused = stops().includes(document.activeElement) ? keyOf(document.activeElement) : null;
  work();
  for (const item of document.querySelectorAll("details")) item.open = open.has(item.dataset.more);
  for (const element of stops()) {
    element.scrollLeft = scrolled.get(keyOf(element)) ?? 0;
    if (keyOf(element) === focused) element.focus({ preventScroll: true });
  }
}

function draw(data) {
  const withPeople = data.people ? [agreementPanel(data), coveragePanel(data)] : [];
  fill(byId("dashboard"), tiles(data), make("div", { class: "panels" }, curvePanel(data), speedPanel(data), ...withPeople), data.people ? peoplePanel(data) : null);
}

async function refresh() {
  try {
    const data = await get("/api/dashboard");
    const text = JSON.stringify({ ...data, as_of_s: 0 });
    // Nothing is drawn over somebody who reads or selects, unless it changed.
    if (text !== drawn) keepPlace(() => draw(data));
    drawn = text;
    setText(byId("fresh"), [`Live, every ${EVERY_MS / 1000} seconds`, data.note].filter(Boolean).join("; "));
  } catch (error) {
    if (error.isSignedOut) await signIn();
    else setText(byId("fresh"), `Not fresh: ${error.message}`);
  }
}

async function live() {
  if (!document.hidden) await refresh();
  setTimeout(live, EVERY_MS);
}

document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
live();
