// Why an answer was chosen, in words: whose is the favourite's, what was computed, what spoke against it, what the judge read.

import { list, nameOf } from "./wording.js";

/** What decided, in a few words; `favourite` is put in. @type {Record<string, string>} */
const SHORT = {
  favourite: "the favourite",
  prior: "the first in order",
  checks: "checks refute FAVOURITE",
  agreement: "two agree against FAVOURITE",
  judge: "the judge prefers it to FAVOURITE",
  "checks-and-judge": "checks and judge against FAVOURITE",
  "agreement-and-judge": "two agree and the judge with them, against FAVOURITE",
};

/** The same in a sentence. @type {Record<string, string>} */
const WHY = {
  favourite: "It is the favourite's, and nothing that counts speaks against it.",
  prior: "It is the favourite's, and nothing that counts speaks against it.",
  checks: "Plain code refutes FAVOURITE's answer, and finds nothing against this one.",
  agreement: "Others agree on an answer that is not FAVOURITE's.",
  judge: "The judge's own answer says the same as it, and not as FAVOURITE's.",
  "checks-and-judge": "Plain code refutes FAVOURITE's answer, and the judge's own answer says the same as this one.",
  "agreement-and-judge": "Others agree on an answer that is not FAVOURITE's, and the judge with them.",
};

/** Who speaks against the favourite's answer. @type {Record<string, string>} */
const SPEAKS = {
  checks: "plain code",
  agreement: "agreement of others",
  judge: "the judge",
  "checks-and-judge": "automatic checks and the judge",
  "agreement-and-judge": "agreement of others and the judge",
};

/** What was not measured. @type {Record<string, string>} */
const UNMEASURED = {
  language: "questions in this language",
  system: "a system message",
  options: "sampling options such as the temperature",
  members: "members that have changed since",
};

/**
 * @param {Record<string, string>} words
 * @param {any} verdict
 */
const saying = (words, { policy, favourite }) => (Object.hasOwn(words, policy) ? words[policy].replace("FAVOURITE", nameOf(favourite ?? "")) : "");

/**
 * What decided, in a few words; "" where that is said already or not known (turns of earlier versions).
 * @param {any} verdict
 */
export const shortly = (verdict) => (verdict.note || verdict.fallback || !verdict.favourite ? "" : saying(SHORT, verdict));

/**
 * All that there is to say, one line each.
 * @param {any} verdict
 * @returns {string[]}
 */
export function reasonsOf(verdict) {
  const { note, fallback, favourite, unmeasured } = verdict;
  if (note) return [note];
  const first = fallback ? `The judge had no say: ${fallback}` : saying(WHY, verdict);
  const lines = [first, ...(favourite ? [favouriteLine(verdict), ...againstLines(verdict)] : []), fallback ? "" : judgeLine(verdict)];
  if (unmeasured?.length) lines.push(`Not measured for ${list(unmeasured.map((/** @type {string} */ what) => UNMEASURED[what] ?? what))}.`);
  return lines.filter(Boolean);
}

/** @param {any} verdict */
function favouriteLine({ favourite, favourite_kind: kind, measured, sure }) {
  const who = `The favourite before anything was read: ${nameOf(favourite)}`;
  if (!measured) return `${who}, first in the configured order.`;
  const right = sure === null ? "" : ` The choice was right in ${(100 * sure).toFixed()}% of such questions.`;
  return `${who}, measured to be the best for ${kind ? `questions of this kind (${kind})` : "all questions together"}.${right}`;
}

/** @param {any} verdict @returns {string[]} */
const againstLines = ({ objections }) =>
  (objections ?? []).map((/** @type {any} */ { reason, member, counts, detail }) => {
    const weight = counts ? "It counts." : "It does not count: it is not certified to be right more often.";
    return `Against that answer, for ${nameOf(member)}'s: ${SPEAKS[reason] ?? reason}${detail ? ` (${detail})` : ""}. ${weight}`;
  });

/** @param {any} verdict */
function judgeLine({ judge_calls: calls, judge_answer: own }) {
  if (!calls) return "The judge's word was not needed: it could not have changed the choice.";
  const blind = "The judge answered the question itself, without seeing the answers";
  return own ? `${blind}: ${own}` : `${blind}.`;
}
