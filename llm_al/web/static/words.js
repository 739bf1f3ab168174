// Answers as people read them.

export const NONE = "none_of_these";
export const SKIP = "skip";
const WORDS = { [NONE]: "none of these", [SKIP]: "skipped" };

/** A label as people read it. */
export const wordOf = (label) => WORDS[label] ?? label;

/** A score as people read it: 0.834 is "83 %". */
export const percent = (score) => `${Math.round(score * 100)} %`;
