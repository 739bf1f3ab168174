// The part of Markdown that guidelines use, made into elements; markup in the source stays text.
import { make } from "./dom.js";

const INLINE = /(`[^`\n]+`)|(\*\*[^*\n](?:[^\n]*?[^*\n])?\*\*)|(\*[^*\s](?:[^*\n]*[^*\s])?\*)|(\b_[^_\s](?:[^_\n]*[^_\s])?_\b)|\[([^\]\n]+)\]\((https?:\/\/[^\s()]+|#[\w-]+|\/[^\s()]*)\)/gu;
const BULLET = /^(\s*)(?:[-*+])\s+(.*)$/;
const ORDERED = /^(\s*)\d{1,9}[.)]\s+(.*)$/;

function inline(text) {
  const parts = [];
  let from = 0;
  for (const found of text.matchAll(INLINE)) {
    parts.push(text.slice(from, found.index));
    parts.push(piece(found));
    from = found.index + found[0].length;
  }
  parts.push(text.slice(from));
  return parts.filter((part) => part !== "");
}

function piece([whole, code, strong, star, under, words, address]) {
  if (code) return make("code", {}, code.slice(1, -1));
  if (strong) return make("strong", {}, ...inline(strong.slice(2, -2)));
  if (star ?? under) return make("em", {}, ...inline((star ?? under).slice(1, -1)));
  return address ? make("a", { href: address, rel: "noreferrer noopener" }, words) : whole;
}

function takeWhile(lines, test) {
  const taken = [];
  while (lines.length && test(lines[0])) taken.push(lines.shift());
  return taken;
}

const isBlank = (line) => line.trim() === "";
const isItem = (line) => BULLET.test(line) || ORDERED.test(line);
const isBlockStart = (line) => isBlank(line) || isItem(line) || /^(#{1,6}\s|```|>|\|)/.test(line);

function list(lines) {
  const isOrdered = !BULLET.test(lines[0]);
  const items = [];
  while (lines.length) {
    const [, , first] = lines.shift().match(isOrdered ? ORDERED : BULLET);
    // Lines that are set in belong to the item above; a list among them is a list of its own.
    const inner = takeWhile(lines, (line) => !isBlank(line) && (/^\s{2,}/.test(line) || !isItem(line)) && !/^#{1,6}\s/.test(line)).map((line) => line.replace(/^ {1,4}/, ""));
    const nested = inner.findIndex(isItem);
    const words = [first, ...(nested < 0 ? inner : inner.slice(0, nested))].join(" ");
    items.push(make("li", {}, ...inline(words), ...(nested < 0 ? [] : blocks(inner.slice(nested)))));
    if (!lines.length || !(isOrdered ? ORDERED : BULLET).test(lines[0]) || /^\s{2,}/.test(lines[0])) break;
  }
  return make(isOrdered ? "ol" : "ul", {}, ...items);
}

function cells(line) {
  return line.replace(/^\s*\||\|\s*$/g, "").split("|").map((cell) => cell.trim());
}

function table(lines) {
  const [head, ...rows] = lines.filter((line) => !/^[\s|:-]+$/.test(line)).map(cells);
  const line = (tag) => (row) => make("tr", {}, ...row.map((cell) => make(tag, tag === "th" ? { scope: "col" } : {}, ...inline(cell))));
  return make("div", { class: "scroll" }, make("table", {}, make("thead", {}, line("th")(head ?? [])), make("tbody", {}, ...rows.map(line("td")))));
}

function block(lines) {
  const [line] = lines;
  const heading = line.match(/^(#{1,6})\s+(.*?)\s*#*\s*$/);
  if (heading) {
    lines.shift();
    return make(`h${Math.min(heading[1].length + 1, 6)}`, {}, ...inline(heading[2]));
  }
  if (line.startsWith("```")) {
    lines.shift();
    const code = takeWhile(lines, (next) => !next.startsWith("```"));
    lines.shift();
    return make("pre", { tabindex: "0" }, make("code", {}, code.join("\n")));
  }
  if (isItem(line)) return list(lines);
  if (line.startsWith(">")) return make("blockquote", {}, ...blocks(takeWhile(lines, (next) => next.startsWith(">")).map((next) => next.replace(/^> ?/, ""))));
  if (line.startsWith("|")) return table(takeWhile(lines, (next) => next.startsWith("|")));
  const words = [lines.shift(), ...takeWhile(lines, (next) => !isBlockStart(next))];
  return make("p", {}, ...inline(words.join(" ")));
}

function blocks(lines) {
  const made = [];
  while (lines.length) {
    if (isBlank(lines[0])) lines.shift();
    else made.push(block(lines));
  }
  return made;
}

/** Make elements of Markdown. */
export function render(source) {
  const fragment = document.createDocumentFragment();
  fragment.append(...blocks(source.replace(/\r\n?/g, "\n").split("\n")));
  return fragment;
}
