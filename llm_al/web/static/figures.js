// Numbers as people read them, and tables of them.
import { make } from "./dom.js";

const whole = new Intl.NumberFormat("en");

export const count = (n) => whole.format(n);
export const share = (value, digits = 0) => `${(value * 100).toFixed(digits)} %`;
export const dollars = (value) => `$${value.toFixed(value < 10 ? 2 : 0)}`;

/** Seconds or minutes as words: "8 s", "3 min", "2.5 h". */
export function duration(seconds) {
  if (seconds < 90) return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

/** How long ago something was, in words. */
export function ago(seconds, now = Date.now() / 1000) {
  if (!seconds) return "never";
  const passed = now - seconds;
  if (passed < 60) return "just now";
  if (passed < 5400) return `${Math.round(passed / 60)} min ago`;
  if (passed < 129600) return `${Math.round(passed / 3600)} h ago`;
  return `${Math.round(passed / 86400)} days ago`;
}

/** A number with its interval, or why there is none. `asText` writes numbers, by default with two digits. */
export function estimate(figure, asText = (value) => value.toFixed(2)) {
  if (figure?.value === null || figure?.value === undefined) return make("span", { class: "reason" }, undefinedWords(figure?.reason));
  const interval = figure.low === null || figure.high === null ? null : make("span", { class: "under" }, `${asText(figure.low)} to ${asText(figure.high)}`);
  return make("span", { class: "number" }, asText(figure.value), interval);
}

/** Why a number is missing. */
export function undefinedWords(reason) {
  if (!reason) return "not known yet";
  return /^(for reviewers|not known)/.test(reason) ? reason : `undefined because ${reason.replace(/^undefined because /, "")}`;
}

/**
 * A table: `columns` are `{title, isNumber, cell(row)}`; the first column is the head of its row.
 */
export function table(caption, columns, rows, { isUnseen = false } = {}) {
  const head = columns.map(({ title, isNumber }) => make("th", { scope: "col", class: isNumber ? "n" : null }, title));
  const line = (row) => make("tr", {}, ...columns.map(({ cell, isNumber }, n) => make(n ? "td" : "th", { scope: n ? null : "row", class: isNumber ? "n" : null, dir: n ? null : "auto" }, cell(row) ?? "")));
  const body = make("table", {}, make("caption", { class: isUnseen ? "unseen" : null }, caption), make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...rows.map(line)));
  return make("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": caption }, body);
}

/** One number with a title and a line under it. */
export function tile(title, value, under = "", { isWords = false, meter = null } = {}) {
  let bar = null;
  if (meter !== null) {
    bar = make("span", { class: "meter", "aria-hidden": "true" }, make("i"));
    bar.firstChild.style.width = `${Math.min(100, Math.max(0, meter * 100))}%`;
  }
  return make("div", { class: "tile card" }, make("dt", {}, title), make("dd", {}, make("div", { class: isWords ? "value words" : "value" }, value), bar, make("span", { class: "under" }, under)));
}
