// Numbers and states in words.

/** @param {number} seconds */
export function duration(seconds) {
  if (seconds < 60) return `${seconds.toFixed(1)}\u00a0s`;
  const whole = Math.round(seconds);
  return `${Math.floor(whole / 60)}\u00a0min ${whole % 60}\u00a0s`;
}

/**
 * What the service said, as a sentence.
 * @param {string} said
 */
export const sentence = (said) => (said && said[0].toUpperCase() + said.slice(1) + (/[\p{L}\d)]$/u.test(said) ? "." : ""));

/**
 * @param {number} count
 * @param {string} one
 */
export const many = (count, one) => `${count} ${one}${count === 1 ? "" : "s"}`;

/** @param {string[]} words */
export function list(words) {
  if (words.length < 2) return words.join("");
  return `${words.slice(0, -1).join(", ")} and ${words[words.length - 1]}`;
}

/** The author of what the code in a question gives; no member can have this name. */
const QUESTIONS_CODE = "computed";

/**
 * What somebody is called on the page.
 * @param {string} member
 */
export const nameOf = (member) => (member === QUESTIONS_CODE ? "the code in your question" : member);

/**
 * A model's name without what only tells its file from others.
 * @param {string} model
 */
export const shortName = (model) => model.replace(/(?:-[0-9a-f]{16})?\.gguf$/, "");

/** A state of a member, and its icon. @type {Record<string, [string, string]>} */
export const STATES = {
  waiting: ["Waiting", "wait"],
  loading: ["Loading its model", "wait"],
  reading: ["Reading", "wait"],
  writing: ["Writing", "pen"],
  done: ["Done", "check"],
  failed: ["Failed", "close"],
  stopped: ["Stopped", "stop"],
  unfinished: ["Unfinished", "stop"],
  not_needed: ["Not needed", "stop"],
};

/** Why an answer ends where it does. @type {Record<string, string>} */
export const CUTS = {
  length: "Cut: it reached the limit of its length.",
  deadline: "Cut: its time was up.",
  repetition: "Cut: it had begun to repeat itself.",
  stopped: "Cut: you wanted the answer now.",
};
