// What was computed: the program behind an answer and what it printed, folded away below it.

import { copyOf, show } from "./elements.js";
import { addCopyButtons } from "./copying.js";
import { colour } from "./highlighting.js";
import { verbatim } from "./markdown.js";

/** @typedef {import("./answers.js").Computed} Computed */

export class ComputedView {
  /** @param {HTMLElement} home */
  constructor(home) {
    this.home = home;
    /** @type {Computed | null} */
    this.computed = null;
  }

  /**
   * @param {Computed | null} computed what really ran; null shows nothing
   * @param {boolean} said whether what it printed stands above already
   */
  update(computed, said) {
    show(this.home, computed !== null);
    if (!computed || computed === this.computed) return;
    this.computed = computed;
    const { root, parts } = copyOf("t-computed");
    const { program, output } = parts;
    show(parts.printed, !said);
    this.home.replaceChildren(root);
    program.replaceChildren(verbatim(computed.program.replace(/\n+$/, ""), "python"));
    output.replaceChildren(verbatim((computed.output ?? "").replace(/\n+$/, ""), "text"));
    for (const part of [program, output]) addCopyButtons(part);
    void colour(program);
  }
}
