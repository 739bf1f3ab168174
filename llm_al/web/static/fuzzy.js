// Search among labels: each typed word must occur, as a part or with letters left out.

const isWordStart = (text, at) => at === 0 || /[\s_\-./]/.test(text[at - 1]);

/** Where and how well one word occurs in a lower-case text: `{score, at: [positions]}` or null. */
function matchWord(word, text) {
  let best = null;
  for (let at = text.indexOf(word); at >= 0; at = text.indexOf(word, at + 1)) {
    const score = 100 + (isWordStart(text, at) ? 40 : 0) + (at === 0 ? 20 : 0) - at * 0.1;
    if (!best || score > best.score) best = { score, at: Array.from(word, (_, n) => at + n) };
  }
  return best ?? matchLetters(word, text);
}

function matchLetters(word, text) {
  const at = [];
  let score = 0;
  let from = 0;
  for (const letter of word) {
    // A letter that begins a word is worth a jump: "cpw" finds card_payment_wrong.
    const starts = [];
    for (let n = text.indexOf(letter, from); n >= 0; n = text.indexOf(letter, n + 1)) if (isWordStart(text, n)) starts.push(n);
    const next = text.indexOf(letter, from);
    if (next < 0) return null;
    const chosen = next === from && at.length ? next : starts[0] ?? next;
    score += chosen === from && at.length ? 6 : isWordStart(text, chosen) ? 8 : 1;
    at.push(chosen);
    from = chosen + 1;
  }
  return { score, at };
}

/**
 * Match what somebody typed with a name: `{score, at, isWhole}` or null. An empty query matches everything.
 *
 * `isWhole`: each word occurs as it was typed, no letter left out.
 */
export function match(query, name) {
  const text = name.toLowerCase();
  const words = query.toLowerCase().split(/[\s_\-./]+/).filter(Boolean);
  let score = text === words.join("_") ? 50 : 0;
  const at = new Set();
  const isWhole = words.every((word) => text.includes(word));
  for (const word of words) {
    const found = matchWord(word, text);
    if (!found) return null;
    score += found.score;
    found.at.forEach((position) => at.add(position));
  }
  return { score, at: [...at].sort((a, b) => a - b), isWhole };
}

/**
 * Labels that match, best first: `[{label, at}]`. A description counts less than a name, and letters left out count
 * only where no name matches as typed.
 */
export function rank(query, labels) {
  const found = [];
  labels.forEach((label, order) => {
    const hit = match(query, label.name) ?? describes(query, label.description);
    if (hit) found.push({ label, order, ...hit });
  });
  const isAnyWhole = found.some((hit) => hit.isWhole);
  return found.filter((hit) => !isAnyWhole || hit.isWhole || hit.isDescription).sort((a, b) => b.score - a.score || a.order - b.order);
}

function describes(query, description) {
  const words = query.toLowerCase().split(/\s+/).filter((word) => word.length > 1);
  const text = (description ?? "").toLowerCase();
  return words.length && words.every((word) => text.includes(word)) ? { score: -100, at: [], isDescription: true } : null;
}
