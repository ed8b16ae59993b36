// What an answer of the service says of itself: whether a program printed it, and which. Nothing in here touches the document.

/**
 * @typedef {{program: string, output: string | null, seconds: number, problem: string | null}} Computed
 * @typedef {import("./turn.js").Turn} Turn
 */

/**
 * Whether an answer is what a program printed.
 * @param {any} answer the service's record of it
 */
export const ran = (answer) => typeof answer?.computed?.output === "string";

/**
 * Why an answer that was to be computed is not, in one line; "" where there is nothing to say.
 * @param {any} answer
 */
export function problemOf(answer) {
  if (!answer?.computed || ran(answer)) return "";
  return `Its program gave no result: ${String(answer.computed.problem ?? "no result").split("\n", 1)[0]}`;
}

/**
 * The program that decided a turn and really ran, null where none did.
 * @param {Turn} turn
 * @returns {Computed | null}
 */
export function decidedBy(turn) {
  const by = turn.used || turn.verdict?.computed_by;
  const answer = by ? turn.columns.find((column) => column.member === by)?.answer : null;
  return ran(answer) ? answer.computed : null;
}
