// One question on the page: how it was asked, the verdict, the answers, the user's vote.

import { copyOf, element, setAttribute, setText, show } from "./elements.js";
import { ColumnView } from "./column.js";
import { decidedBy, ran } from "./computed.js";
import { VerdictView } from "./verdict.js";
import { Tabs } from "./tabs.js";
import { isRunning, winnerOf } from "./turn.js";
import { shownOf } from "./conversation.js";
import { NONE, TIE } from "./votes.js";

/**
 * @typedef {import("./turn.js").Turn} Turn
 * @typedef {import("./conversation.js").Entry} Entry
 * @typedef {object} Actions what the buttons of a turn do
 * @property {(entry: Entry) => void} edit
 * @property {(entry: Entry, how: {optimize?: boolean}) => void} again
 * @property {(entry: Entry, by: number) => void} version
 * @property {(turn: Turn, choice: string) => void} vote
 * @property {() => void} changed
 */

export class TurnView {
  /**
   * @param {Entry} entry
   * @param {Actions} actions
   * @param {{votes: import("./votes.js").Votes, roster: import("./roster.js").Roster}} known
   */
  constructor(entry, actions, known) {
    const { root, parts } = copyOf("t-turn");
    this.root = root;
    this.parts = parts;
    this.entry = entry;
    this.actions = actions;
    this.known = known;
    root.id = `turn-${entry.key}`;
    parts.question.id = `${root.id}-question`;
    root.setAttribute("aria-labelledby", parts.question.id);
    /** @type {Turn | null} */
    this.turn = null;
    /** @type {ColumnView[]} */
    this.columns = [];
    /** @type {Tabs | null} */
    this.tabs = null;
    this.listen();
  }

  listen() {
    const { parts, actions, entry } = this;
    parts.edit.addEventListener("click", () => actions.edit(entry));
    parts.again.addEventListener("click", () => actions.again(entry, {}));
    parts.troubleAgain.addEventListener("click", () => actions.again(entry, {}));
    parts.plain.addEventListener("click", () => actions.again(entry, { optimize: false }));
    parts.older.addEventListener("click", () => actions.version(entry, -1));
    parts.newer.addEventListener("click", () => actions.version(entry, 1));
    parts.tie.addEventListener("click", () => actions.vote(shownOf(entry), TIE));
    parts.bad.addEventListener("click", () => actions.vote(shownOf(entry), NONE));
    parts.view.addEventListener("click", () => this.showAll(parts.view.getAttribute("aria-pressed") !== "true"));
  }

  /**
   * Show all answers, or the chosen one alone.
   * @param {boolean} all
   */
  showAll(all) {
    setAttribute(this.parts.view, "aria-pressed", String(all));
    this.root.classList.toggle("only-chosen", !all);
  }

  /**
   * Bring the page up to what is known.
   * @param {{now: number, last: boolean, busy: boolean}} around whether it is the last turn, and whether any turn is running
   */
  update({ now, last, busy }) {
    const turn = shownOf(this.entry);
    if (turn !== this.turn) this.begin(turn);
    if (this.columns.length < turn.columns.length) this.build(turn);
    const running = isRunning(turn);
    this.head(turn, running);
    this.tools(turn, { running, last, busy });
    this.verdict?.update(turn);
    this.told(turn, running);
    const winner = winnerOf(turn);
    const vote = turn.id ? this.known.votes.of(turn.id) : null;
    this.columns.forEach((view, index) => {
      const column = turn.columns[index];
      const chosen = column.member === winner;
      const program = ran(column.answer) ? column.answer.computed : chosen ? decidedBy(turn) : null;
      view.update(column, { now, model: this.known.roster.models.get(column.member) ?? "", chosen, over: !running, vote, program });
      this.tabs?.update(index, column.state, chosen);
    });
    if (winner) this.tabs?.suggest(winner);
    this.vote(turn, vote);
  }

  /** @param {Turn} turn another one than before */
  begin(turn) {
    this.turn = turn;
    this.columns = [];
    this.parts.columns.replaceChildren();
    this.build(turn);
    this.parts.verdict.replaceChildren();
    this.verdict = new VerdictView(this.parts.verdict, (member) => this.goTo(member), this.actions.changed);
  }

  /**
   * Make the columns that are not there yet.
   * @param {Turn} turn
   */
  build(turn) {
    const before = this.tabs;
    before?.leave();
    for (const { member } of turn.columns.slice(this.columns.length)) {
      const view = new ColumnView(`${this.root.id}-answer-${this.columns.length + 1}`, member, () => this.actions.vote(shownOf(this.entry), member));
      this.columns.push(view);
      this.parts.columns.append(view.root);
    }
    this.parts.columns.dataset.count = String(this.columns.length);
    this.tabs = new Tabs(this.parts.tabs, this.columns.map((view) => view.root), before);
  }

  /** Give up what watches the window. */
  leave() {
    this.tabs?.leave();
    this.root.remove();
  }

  /** @param {string} member */
  goTo(member) {
    this.tabs?.goTo(member);
  }

  /**
   * @param {Turn} turn
   * @param {boolean} running
   */
  head(turn, running) {
    const { parts } = this;
    const { rewrite } = turn;
    setText(parts.question, turn.question);
    this.root.classList.toggle("long-question", turn.question.length > 160);
    setAttribute(this.root, "data-status", turn.status);
    const writing = !rewrite.over && rewrite.text.trim() !== "";
    const same = rewrite.accepted !== null && rewrite.accepted.trim() === turn.question.trim();
    if (writing && running) this.asked("Rewriting:", rewrite.text);
    else if (same) this.asked("Asked as it stands", "");
    else if (rewrite.accepted !== null) this.asked("Asked as:", rewrite.accepted);
    else if (rewrite.refused) this.asked("Asked in your own words; the rewrite was refused:", rewrite.refused);
    else if (!turn.optimize || rewrite.over) this.asked("Asked in your own words", "");
    show(parts.asked, writing || rewrite.over || !turn.optimize);
  }

  /**
   * @param {string} label
   * @param {string} text
   */
  asked(label, text) {
    setText(this.parts.askedLabel, label);
    setText(this.parts.askedText, text);
  }

  /**
   * @param {Turn} turn
   * @param {{running: boolean, last: boolean, busy: boolean}} around
   */
  tools(turn, { running, last, busy }) {
    const { parts, entry } = this;
    show(parts.tools, !running);
    show(parts.edit, !busy);
    show(parts.again, last && !busy && Boolean(turn.result));
    show(parts.plain, last && !busy && Boolean(turn.result && turn.rewrite.accepted));
    show(parts.view, Boolean(turn.result) && turn.columns.length > 1);
    show(parts.versions, entry.versions.length > 1 && last && !busy);
    setText(parts.version, `${entry.shown + 1} of ${entry.versions.length}`);
    parts.older.disabled = entry.shown === 0;
    parts.newer.disabled = entry.shown === entry.versions.length - 1;
    const trouble = !running && turn.trouble !== "";
    show(parts.trouble, trouble);
    setText(parts.troubleText, turn.trouble);
    show(parts.troubleAgain, trouble && last && !busy);
  }

  /**
   * @param {Turn} turn
   * @param {boolean} running
   */
  told(turn, running) {
    const lines = [...turn.notices];
    if (running && turn.status === "queued") lines.push(turn.ahead ? `Waiting in line: ${turn.ahead} before yours.` : "Waiting in line: yours is next.");
    const { notices } = this.parts;
    if ([...notices.children].map((item) => item.textContent).join("\n") !== lines.join("\n")) {
      notices.replaceChildren(...lines.map((line) => element("li", "", line)));
    }
    show(notices, lines.length > 0);
  }

  /**
   * @param {Turn} turn
   * @param {string | null} vote
   */
  vote(turn, vote) {
    const { parts } = this;
    const answers = turn.columns.filter((column) => column.answer).length;
    show(parts.vote, Boolean(turn.result) && answers > 1);
    setAttribute(parts.tie, "aria-pressed", String(vote === TIE));
    setAttribute(parts.bad, "aria-pressed", String(vote === NONE));
    setText(parts.agreement, vote ? this.known.votes.agreement() : "");
  }
}
