// One candidate's column: who it is, what it does, what it writes.

import { copyOf, setAttribute, setIcon, setText, show } from "./elements.js";
import { LiveText } from "./live_text.js";
import { copy } from "./copying.js";
import { problemOf, ran } from "./answers.js";
import { ComputedView } from "./computed.js";
import { ENDED } from "./turn.js";
import { CUTS, duration, many, nameOf, shortName, STATES } from "./wording.js";

/** Milliseconds in one state after which a remark explains the wait. */
const LONG = 12_000;
/** @type {Record<string, string>} */
const SLOW = {
  loading: "It is read into memory once; after that it answers sooner.",
  reading: "Without a GPU, a long conversation takes a while to read.",
  writing: "Stop keeps what the others have written.",
};

export class ColumnView {
  /**
   * @param {string} id unique on the page
   * @param {string} member
   * @param {{prefer: () => void, use: () => void}} actions
   */
  constructor(id, member, actions) {
    const { root, parts } = copyOf("t-column");
    this.root = root;
    this.parts = parts;
    this.member = member;
    root.id = id;
    root.dataset.member = member;
    setText(parts.name, nameOf(member));
    parts.name.id = `${id}-name`;
    root.setAttribute("aria-labelledby", parts.name.id);
    setAttribute(parts.prefer, "aria-label", `I prefer the answer of ${nameOf(member)}`);
    setAttribute(parts.use, "aria-label", `Use the answer of ${nameOf(member)}`);
    this.live = new LiveText(parts.text);
    this.computed = new ComputedView(parts.computed);
    this.whole = "";
    parts.copy.addEventListener("click", () => copy(this.whole, parts.copy));
    parts.prefer.addEventListener("click", actions.prefer);
    parts.use.addEventListener("click", actions.use);
    root.tabIndex = -1;
  }

  /**
   * @param {import("./turn.js").Column} column
   * @param {{now: number, model: string, chosen: boolean, over: boolean, vote: string | null, program: import("./answers.js").Computed | null, draft: boolean, open: boolean}} around
   *   `program` is what computed this answer, or the same as it says; `open`: its text is on the page, which else is made when it is needed
   */
  update(column, { now, model, chosen, over, vote, program, draft, open }) {
    const { parts, root } = this;
    const [words, icon] = STATES[column.state === "stopped" && column.text ? "unfinished" : column.state] ?? STATES.waiting;
    setAttribute(root, "data-state", column.state);
    setAttribute(root, "aria-busy", over || ENDED.has(column.state) ? null : "true");
    root.classList.toggle("chosen", chosen);
    setText(parts.model, shortName(column.model || model));
    setAttribute(parts.model, "title", column.model || model);
    show(parts.badge, draft);
    setIcon(parts.glyph, icon);
    setText(parts.state, column.failure ? "Failed" : words);
    setText(parts.numbers, column.answer ? final(column.answer) : live(column, now, over));
    const done = column.state === "done";
    if (open) {
      if (ran(column.answer)) this.live.showPrinted(column.text);
      else this.live.show(column.text, over || done);
      this.computed.update(program, ran(column.answer));
    }
    this.whole = column.text;
    const remark = column.failure || problemOf(column.answer) || cut(column, chosen) || waiting(column, now, over);
    setText(parts.cut, remark);
    show(parts.cut, remark !== "");
    show(parts.foot, (over || done) && column.text !== "");
    show(parts.prefer, over && done && chosen);
    show(parts.use, over && column.text !== "" && !chosen);
    setAttribute(parts.prefer, "aria-pressed", String(vote === column.member));
  }
}

/** @param {any} answer */
function final({ tokens, seconds, tokens_per_s: rate, first_token_s: first }) {
  const numbers = [duration(seconds)];
  if (tokens) numbers.push(many(tokens, "token"));
  if (rate) numbers.push(`${rate.toFixed(1)} tok/s`);
  if (first) numbers.push(`first after ${duration(first)}`);
  return numbers.join(" · ");
}

/**
 * @param {import("./turn.js").Column} column
 * @param {number} now
 * @param {boolean} over
 */
function live(column, now, over) {
  if (!column.begun || over || ENDED.has(column.state)) return "";
  const numbers = [duration((now - column.begun) / 1000)];
  const writing = (now - column.first) / 1000;
  if (column.first && writing > 0.5) numbers.push(`${(column.tokens / writing).toFixed(1)} tok/s`);
  if (column.first) numbers.push(`first after ${duration((column.first - column.begun) / 1000)}`);
  return numbers.join(" · ");
}

/**
 * @param {import("./turn.js").Column} column
 * @param {boolean} chosen whether it stands as the answer, without its state above it
 */
function cut(column, chosen) {
  if (column.state === "not_needed") return column.detail;
  if (column.answer) return column.answer.complete ? "" : (CUTS[column.answer.stop] ?? "Cut short.");
  return chosen && column.text ? "Unfinished." : "";
}

/**
 * @param {import("./turn.js").Column} column
 * @param {number} now
 * @param {boolean} over
 */
function waiting(column, now, over) {
  if (over || column.state === "done") return "";
  if (column.detail) return column.detail;
  return column.since && now - column.since > (column.state === "writing" ? 4 * LONG : LONG) ? (SLOW[column.state] ?? "") : "";
}
