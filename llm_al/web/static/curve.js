// Charts of our own, in SVG: the learning curve, and answers minute by minute. A table beside them says the same.
import { makeSvg } from "./dom.js";

const W = 640;
const H = 250;
const LEFT = 46;
const RIGHT = 14;
const TOP = 12;
const BOTTOM = 40;

const place = (value, [low, high], from, to) => from + ((value - low) / (high - low || 1)) * (to - from);

/** Round steps of an axis, at most about six. */
export function ticks(low, high, most = 6) {
  const rough = (high - low || 1) / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= rough);
  const found = [];
  for (let value = Math.ceil(low / step - 1e-9) * step; value <= high + step * 1e-6; value += step) found.push(Number(value.toPrecision(10)));
  return found;
}

const path = (points) => points.map(([x, y], n) => `${n ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");

function axes(xRange, yRange) {
  const parts = [];
  for (const value of ticks(...yRange, 5)) {
    const y = place(value, yRange, H - BOTTOM, TOP);
    parts.push(makeSvg("line", { class: "grid", x1: LEFT, x2: W - RIGHT, y1: y, y2: y }));
    parts.push(makeSvg("text", { x: LEFT - 8, y: y + 4, "text-anchor": "end" }, `${Math.round(value * 100)} %`));
  }
  for (const value of ticks(...xRange).filter(Number.isInteger)) {
    parts.push(makeSvg("text", { x: place(value, xRange, LEFT, W - RIGHT), y: H - BOTTOM + 18, "text-anchor": "middle" }, String(value)));
  }
  parts.push(makeSvg("line", { class: "axis", x1: LEFT, x2: W - RIGHT, y1: H - BOTTOM, y2: H - BOTTOM }));
  parts.push(makeSvg("text", { x: (LEFT + W - RIGHT) / 2, y: H - 4, "text-anchor": "middle" }, "labels of people"));
  return parts;
}

/** The learning curve over finished rounds with an accuracy: the line, its interval, macro-F1 dashed. */
export function learningCurve(points) {
  const known = points.filter((point) => point.accuracy !== null);
  const last = known.at(-1);
  const lows = known.flatMap((point) => [point.accuracy, point.accuracy_low, point.macro_f1]).filter((value) => value !== null);
  const xRange = [Math.min(...known.map((point) => point.n_human)), Math.max(...known.map((point) => point.n_human))];
  if (xRange[0] === xRange[1]) xRange[0] = 0;
  const yRange = [Math.max(0, Math.floor((Math.min(...lows) - 0.02) * 10) / 10), 1];
  const at = (point, value) => [place(point.n_human, xRange, LEFT, W - RIGHT), place(value, yRange, H - BOTTOM, TOP)];
  const words = `Learning curve: accuracy ${(last.accuracy * 100).toFixed(1)} % after ${last.n_human} labels of people. The table below has every round.`;
  const svg = makeSvg("svg", { class: "chart", viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": words }, ...axes(xRange, yRange));
  const banded = known.filter((point) => point.accuracy_low !== null && point.accuracy_high !== null);
  if (banded.length > 1) {
    const outline = [...banded.map((point) => at(point, point.accuracy_high)), ...banded.map((point) => at(point, point.accuracy_low)).reverse()];
    svg.append(makeSvg("path", { class: "band", d: `${path(outline)}Z` }));
  }
  const second = known.filter((point) => point.macro_f1 !== null);
  if (second.length > 1) svg.append(makeSvg("path", { class: "curve second", d: path(second.map((point) => at(point, point.macro_f1))) }));
  svg.append(makeSvg("path", { class: "curve", d: path(known.map((point) => at(point, point.accuracy))) }));
  for (const point of known) {
    const [cx, cy] = at(point, point.accuracy);
    svg.append(makeSvg("circle", { class: "dot", cx, cy, r: 4 }));
  }
  return svg;
}

/** Answers in each of the last minutes, the newest at the right. */
export function minuteBars(counts) {
  const height = 56;
  const most = Math.max(1, ...counts);
  const step = W / counts.length;
  const total = counts.reduce((sum, n) => sum + n, 0);
  const bars = counts.map((n, at) => makeSvg("rect", { class: "bar-mark", x: at * step + 1, width: Math.max(step - 2, 1), y: height - (n / most) * (height - 4), height: (n / most) * (height - 4), rx: 1.5 }));
  const line = makeSvg("line", { class: "axis", x1: 0, x2: W, y1: height, y2: height });
  return makeSvg("svg", { class: "chart", viewBox: `0 0 ${W} ${height + 2}`, role: "img", "aria-label": `${total} answers in the last ${counts.length} minutes` }, ...bars, line);
}
