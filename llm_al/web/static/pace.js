// How fast: answers a minute for the person, answer-to-next-text for whoever looks at the browser's timeline.

const N_GAPS = 20;
const LONGEST_GAP_S = 120;
const times = [];

/** Note that an answer was given now. */
export function noteAnswer() {
  times.push(performance.now() / 1000);
  if (times.length > N_GAPS + 1) times.shift();
}

/** Answers a minute over the last twenty, breaks left out; null with fewer than three. */
export function pace() {
  const gaps = times.slice(1).map((time, n) => time - times[n]).filter((gap) => gap < LONGEST_GAP_S);
  if (gaps.length < 2) return null;
  const total = gaps.reduce((sum, gap) => sum + gap, 0);
  return total > 0 ? (60 * gaps.length) / total : null;
}

/** Measure from the key or click (`began`, on the page's clock) to the frame that shows the next text. */
export function measure(began) {
  const channel = new MessageChannel();
  channel.port1.onmessage = () => performance.measure("answer-to-next", { start: began, end: performance.now() });
  // A message posted in a frame's callback is handled after that frame has been painted.
  requestAnimationFrame(() => channel.port2.postMessage(null));
}
