// What was computed: the program behind an answer and what it printed, folded away below it.

import { copyOf, show } from "./elements.js";
import { addCopyButtons } from "./copying.js";
import { colour } from "./highlighting.js";
import { verbatim } from "./markdown.js";

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
  return `Its program did not run: ${String(answer.computed.problem ?? "no result").split("\n", 1)[0]}`;
}

/**
 * The program that decided a turn and really ran, null where none did.
 * @param {Turn} turn
 * @returns {Computed | null}
 */
export function decidedBy(turn) {
  const by = turn.verdict?.computed_by;
  const answer = by ? turn.columns.find((column) => column.member === by)?.answer : null;
  return ran(answer) ? answer.computed : null;
}

export class ComputedView {
  /** @param {HTMLElement} home */
  constructor(home) {
    this.home = home;
    /** @type {Computed | null} */
    this.computed = null;
  }

  /** @param {Computed | null} computed what really ran; null shows nothing */
  update(computed) {
    show(this.home, computed !== null);
    if (!computed || computed === this.computed) return;
    this.computed = computed;
    const { root, parts } = copyOf("t-computed");
    const { program, output } = parts;
    this.home.replaceChildren(root);
    program.replaceChildren(verbatim(computed.program.replace(/\n+$/, ""), "python"));
    output.replaceChildren(verbatim((computed.output ?? "").replace(/\n+$/, ""), "text"));
    for (const part of [program, output]) addCopyButtons(part);
    void colour(program);
  }
}
