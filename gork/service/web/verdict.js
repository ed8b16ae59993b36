// Below the answer: how far the turn is, then one line on who was chosen, which opens: how surely, and by what.

import { copyOf, element, setAttribute, setIcon, setText, show } from "./elements.js";
import { reveal } from "./following.js";
import { isRunning } from "./turn.js";
import { LiveText } from "./live_text.js";
import { reasonsOf, shortly } from "./reasons.js";
import { explain, ServiceError } from "./service.js";
import { duration, list, many, nameOf } from "./wording.js";

/** @typedef {import("./turn.js").Turn} Turn */

/** @type {Record<string, string>} */
const TEMPLATES = { card: "t-verdict", steps: "t-steps", used: "t-used" };
const ORDER = ["rewrite", "answer", "judge"];
/** What a judge with processors of its own does while the others write; by its state. @type {Record<string, string>} */
const AHEAD = { loading: "loading the judge", reading: "at work beside them", writing: "at work beside them", done: "ready" };

export class VerdictView {
  /**
   * @param {HTMLElement} home
   * @param {() => void} onReason the judge's words have changed the turn
   */
  constructor(home, onReason) {
    this.home = home;
    this.onReason = onReason;
    this.form = "";
    /** @type {import("./elements.js").Parts} */
    this.parts = {};
  }

  /** @param {Turn} turn */
  update(turn) {
    const form = turn.verdict ? "card" : isRunning(turn) ? "steps" : turn.used ? "used" : "";
    if (form !== this.form) this.become(form, turn);
    show(this.home, form !== "");
    if (form === "steps") this.steps(turn);
    if (form === "card") this.card(turn);
    if (form === "used") setText(this.parts.label, `You use ${nameOf(turn.used)}'s answer; the turn was not finished.`);
  }

  /**
   * @param {string} form
   * @param {Turn} turn
   */
  become(form, turn) {
    this.form = form;
    this.home.replaceChildren();
    if (!form) return;
    const { root, parts } = copyOf(TEMPLATES[form]);
    this.parts = parts;
    this.home.append(root);
    if (form !== "card") return;
    this.reason = new LiveText(parts.reasonText);
    root.addEventListener("toggle", () => /** @type {HTMLDetailsElement} */ (root).open && reveal(root));
    parts.ask.addEventListener("click", () => void this.askWhy(turn));
  }

  /** @param {Turn} turn */
  steps(turn) {
    const at = ORDER.indexOf(turn.stage);
    const answered = turn.columns.filter((column) => column.answer).length;
    /** @type {Record<string, string>} */
    const details = {
      rewrite: !turn.optimize ? "off" : turn.rewrite.over && !turn.rewrite.accepted ? "none" : "",
      answer: at === 1 && answered ? `${answered} of ${turn.columns.length}` : "",
      judge: at === 2 && turn.judge === "loading" ? "loading the judge" : at === 2 ? "the judge is at work" : AHEAD[turn.judge] ?? "",
    };
    ORDER.forEach((stage, index) => {
      const step = this.parts[stage];
      const state = index < at || (stage === "rewrite" && !turn.optimize) ? "done" : index === at ? "running" : "waiting";
      setAttribute(step, "data-state", state);
      setAttribute(step, "aria-current", state === "running" ? "step" : null);
      setIcon(step, state === "done" ? "check" : state === "running" ? "pen" : "wait");
      setText(step.querySelector("small"), details[stage]);
    });
  }

  /** @param {Turn} turn */
  card(turn) {
    const { verdict } = turn;
    const { parts } = this;
    setText(parts.label, lineOf(turn));
    setAttribute(parts.label, "data-kind", verdict.fallback || verdict.close ? "warn" : null);
    const tags = tagsOf(turn);
    if (parts.tags.childElementCount !== tags.length) parts.tags.replaceChildren(...tags.map(([kind, text]) => element("span", `tag ${kind}`, text)));
    show(parts.tags, tags.length > 0);
    if (!parts.reasons.childElementCount) parts.reasons.append(...reasonsOf(verdict).map((line) => element("li", "verdict-note", line)));
    setText(parts.times, turn.result ? timesOf(turn.result) : "");
    if (!parts.scores.childElementCount) parts.scores.append(...scoresOf(verdict));
    show(parts.scores, parts.scores.childElementCount > 0);
    show(parts.why, Boolean(turn.result) && !verdict.note && !verdict.fallback && !verdict.computed_by);
    if (turn.reason) this.tell(turn, turn.reason, true);
  }

  /** @param {Turn} turn */
  async askWhy(turn) {
    const { parts } = this;
    parts.ask.disabled = true;
    let text = "";
    this.tell(turn, "", false);
    try {
      for await (const { kind, data } of explain(turn.result, new AbortController().signal)) {
        if (kind === "token") this.tell(turn, (text += data.text), false);
        if (kind === "restarted") text = "";
        if (kind === "explained") turn.reason = data.text || "The judge had nothing to say.";
        if (kind === "broken") throw new ServiceError("broken", data.message);
      }
      if (!turn.reason) throw new ServiceError("lost", "The connection to the service was lost.");
      this.tell(turn, turn.reason, true);
      this.onReason();
    } catch (error) {
      show(parts.reason, true);
      setText(parts.reasonNote, error instanceof Error ? error.message : String(error));
      parts.ask.disabled = false;
    }
  }

  /**
   * @param {Turn} turn
   * @param {string} text
   * @param {boolean} complete
   */
  tell(turn, text, complete) {
    const { parts } = this;
    show(parts.reason, true);
    show(parts.ask, !complete);
    setText(parts.reasonNote, complete ? `Explanation written afterwards; it did not affect the choice. ${legend(turn)}` : "The judge is thinking about it …");
    this.reason?.show(text, complete);
  }
}

/**
 * Who is meant by the letters of an explanation: they stand for the answers in their order.
 * @param {Turn} turn
 */
const legend = ({ result }) => `${list(result.answers.map((/** @type {any} */ { member }, /** @type {number} */ at) => `${String.fromCharCode(65 + at)} is ${nameOf(member)}`))}.`;

/**
 * The choice in one line.
 * @param {Turn} turn
 */
function lineOf(turn) {
  const { verdict, columns, result } = turn;
  const parts = turn.used ? [`You use ${nameOf(turn.used)}'s answer`, choiceOf(turn)] : [choiceOf(turn)];
  const failed = columns.filter((column) => column.failure).length;
  if (shortly(verdict)) parts.push(shortly(verdict));
  if (!verdict.fallback && !verdict.note && verdict.close) parts.push("close call");
  if (failed) parts.push(`${failed} of ${columns.length} failed`);
  if (result) parts.push(duration(result.timings.total));
  return parts.join(" · ");
}

/** @param {Turn} turn */
function choiceOf({ verdict, columns }) {
  const { winner, computed_by: by, fallback, note } = verdict;
  if (by && by !== winner) return `${nameOf(winner)}'s answer was chosen: a program computed the same`;
  if (by) return winner === nameOf(winner) ? `Computed by ${winner}'s program` : `Computed by ${nameOf(winner)}`;
  if (fallback) return `The favourite, without the judge: ${nameOf(winner)}`;
  if (note || columns.length === 1) return nameOf(winner);
  return `${nameOf(winner)}'s answer was chosen`;
}

/** @param {Turn} turn @returns {[string, string][]} */
function tagsOf({ verdict }) {
  /** @type {[string, string][]} */
  const tags = [];
  const judged = !verdict.fallback && !verdict.note && !verdict.computed_by;
  if (judged && verdict.close) tags.push(["warn", "A close call"]);
  if (judged && verdict.sure) tags.push(["", `${(100 * verdict.sure).toFixed()}% sure`]);
  return tags;
}

/** @param {any} result */
function timesOf({ timings, ensemble }) {
  const parts = ORDER.filter((stage) => timings[stage] > 0).map((stage) => `${{ rewrite: "rewrite", answer: "answers", judge: "judge" }[stage]} ${duration(timings[stage])}`);
  return `${list(parts)}; ${duration(timings.total)} in all · ${ensemble}`;
}

/** Rows of the scores: who, a bar from the middle to the right or to the left, the number. @param {any} verdict */
function scoresOf({ scores, winner }) {
  const rows = Object.entries(scores).sort((one, other) => other[1] - one[1]);
  const most = Math.max(...rows.map(([, score]) => Math.abs(score)), 1e-9);
  return rows.map(([member, score]) => {
    const row = element("div", member === winner ? "score won" : "score");
    const bar = element("span", "bar-of-score");
    const fill = element("span", score < 0 ? "fill below" : "fill");
    fill.style.setProperty("--share", String(Math.abs(score) / most));
    bar.append(fill);
    bar.setAttribute("aria-hidden", "true");
    row.append(element("span", "who", nameOf(member)), bar, element("span", "points", `${score < 0 ? "−" : "+"}${Math.abs(score).toFixed(2)}`));
    return row;
  });
}

/**
 * What is said aloud when a turn is over.
 * @param {Turn} turn
 */
export function spoken(turn) {
  const { verdict } = turn;
  const how = verdict.fallback ? "the favourite, without the judge" : verdict.note ? verdict.note : verdict.close ? "a close call" : "";
  const of = turn.columns.length > 1 ? ` of ${many(turn.columns.length, "answer")}` : "";
  return `Chosen${of}: ${nameOf(verdict.winner)}${how ? ` (${how})` : ""}.`;
}
