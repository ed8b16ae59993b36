// One question on the page: how it was asked, the answer, how it was chosen, and the other answers folded away below.

import { copyOf, element, setAttribute, setText, show } from "./elements.js";
import { decidedBy, ran } from "./answers.js";
import { ColumnView } from "./column.js";
import * as following from "./following.js";
import { keep, kept } from "./keeping.js";
import { chosenOf, favouriteOf, isRunning, winnerOf } from "./turn.js";
import { shownOf } from "./conversation.js";
import { VerdictView } from "./verdict.js";
import { NONE, TIE } from "./votes.js";
import { list, many, nameOf } from "./wording.js";

const OTHERS = "gork.others";

/**
 * @typedef {import("./turn.js").Turn} Turn
 * @typedef {import("./conversation.js").Entry} Entry
 * @typedef {object} Actions what the buttons of a turn do
 * @property {(entry: Entry) => void} edit
 * @property {(entry: Entry, how: {optimize?: boolean}) => void} again
 * @property {(entry: Entry, by: number) => void} version
 * @property {(turn: Turn, choice: string) => void} vote
 * @property {(entry: Entry, member: string) => void} use
 * @property {(turn: Turn) => void} changed something of the turn that is to be kept
 * @property {() => void} redraw
 */

export class TurnView {
  /**
   * @param {Entry} entry
   * @param {Actions} actions
   * @param {{votes: import("./votes.js").Votes, roster: import("./roster.js").Roster, all: () => boolean}} known
   *   `all`: whether the other answers are open at first
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
    /** The one in the answer's place. @type {ColumnView | null} */
    this.hero = null;
    /** The one that stood there as a draft before another was chosen. @type {ColumnView | null} */
    this.before = null;
    /** Whether what stands in the answer's place was put there as a draft. */
    this.drafted = false;
    /** Whether the user did something within this turn since it began: then what is being read stays where it is. */
    this.touched = false;
    this.open = known.all();
    this.listen();
  }

  listen() {
    const { parts, actions, entry, root } = this;
    parts.edit.addEventListener("click", () => actions.edit(entry));
    parts.again.addEventListener("click", () => actions.again(entry, {}));
    parts.troubleAgain.addEventListener("click", () => actions.again(entry, {}));
    parts.plain.addEventListener("click", () => actions.again(entry, { optimize: false }));
    parts.older.addEventListener("click", () => actions.version(entry, -1));
    parts.newer.addEventListener("click", () => actions.version(entry, 1));
    parts.tie.addEventListener("click", () => actions.vote(shownOf(entry), TIE));
    parts.bad.addEventListener("click", () => actions.vote(shownOf(entry), NONE));
    parts.others.addEventListener("click", () => {
      keep("local", OTHERS, this.open ? "" : "open");
      this.showAll(!this.open);
      if (this.open) following.reveal(parts.columns);
    });
    parts.insteadShow.addEventListener("click", () => this.goTo(this.before));
    for (const kind of ["pointerdown", "wheel", "touchmove"]) root.addEventListener(kind, () => (this.touched = true), { passive: true });
  }

  /**
   * Show the other answers in full, or folded away.
   * @param {boolean} all
   */
  showAll(all) {
    following.leave(); // what is opened was not written: the page need not follow it to its end
    this.open = all;
    this.actions.redraw();
  }

  /** @param {ColumnView | null} view */
  goTo(view) {
    if (!view) return;
    this.showAll(true);
    following.reveal(view.root);
    view.root.focus({ preventScroll: true });
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
    const answers = chosenOf(turn);
    const vote = turn.id ? this.known.votes.of(turn.id) : null;
    const read = [this.before, this.hero].find((view) => view && this.isRead(view)) ?? null;
    const top = read?.parts.text.getBoundingClientRect().top;
    this.head(turn, running);
    this.place(turn);
    this.columns.forEach((view, index) => {
      const column = turn.columns[index];
      const chosen = column.member === answers;
      const program = ran(column.answer) ? column.answer.computed : chosen ? decidedBy(turn) : null;
      const open = this.open || view === this.hero || view === this.before;
      const draft = view === this.hero && !answers && !column.failure && column.text !== "" && turn.columns.length > 1;
      view.update(column, { now, model: this.known.roster.models.get(column.member) ?? "", chosen, over: !running, vote, program, draft, open });
    });
    this.others(turn, running);
    this.tools(turn, { running, last, busy });
    this.verdict?.update(turn);
    this.told(turn);
    this.vote(turn, vote);
    if (read && read !== this.hero && read === this.before) following.keepInPlace(read.parts.text, top);
  }

  /** @param {Turn} turn another one than before */
  begin(turn) {
    const { parts } = this;
    parts.bar.append(parts.tools);
    this.turn = turn;
    this.columns = [];
    this.hero = this.before = null;
    this.touched = false;
    parts.columns.replaceChildren();
    parts.hero.replaceChildren();
    parts.verdict.replaceChildren();
    this.verdict = new VerdictView(parts.verdict, () => this.actions.changed(turn));
  }

  /**
   * Make the columns that are not there yet.
   * @param {Turn} turn
   */
  build(turn) {
    for (const { member } of turn.columns.slice(this.columns.length)) {
      const view = new ColumnView(`${this.root.id}-answer-${this.columns.length + 1}`, member, {
        prefer: () => this.actions.vote(shownOf(this.entry), member),
        use: () => this.actions.use(this.entry, member),
      });
      this.columns.push(view);
      this.parts.columns.append(view.root);
    }
    this.parts.columns.dataset.count = String(this.columns.length - 1);
  }

  /**
   * Put the chosen answer into its place, before there is one the draft that will most likely be it. A draft that gives way while it is
   * being read stays below.
   * @param {Turn} turn
   */
  place(turn) {
    const chosen = chosenOf(turn);
    // What was read when it was stopped, or is being read, is worth more than a better guess at what will be chosen.
    if (!chosen && this.hero?.whole && (!isRunning(turn) || this.isRead(this.hero))) return;
    const member = chosen ?? favouriteOf(turn, this.known.roster.prior);
    const view = this.columns.find((column) => column.member === member) ?? null;
    const { hero: before, parts } = this;
    if (view === before) return;
    const reading = before !== null && this.isRead(before);
    view?.root.classList.remove("kept");
    if (before) move(before.root, parts.columns, this.columns.slice(this.columns.indexOf(before) + 1).find((next) => next !== view)?.root ?? null);
    if (view) move(view.root, parts.hero, null);
    this.hero = view;
    const written = turn.columns.some(({ member, text }) => member === before?.member && text !== ""); // what was not needed is gone
    this.before = before && written && this.drafted && winnerOf(turn) && !turn.used ? before : null;
    this.drafted = !chosen;
    before?.root.classList.toggle("kept", reading && this.before !== null);
  }

  /** @param {ColumnView} view whose text may be under somebody's eyes */
  isRead({ root, whole }) {
    const { top, bottom } = root.getBoundingClientRect();
    return whole !== "" && (this.touched || !following.isFollowing()) && bottom > 0 && top < innerHeight;
  }

  /**
   * @param {Turn} turn
   * @param {boolean} running
   */
  others(turn, running) {
    const { parts } = this;
    const others = turn.columns.filter(({ member }) => member !== this.hero?.member);
    show(parts.others, others.length > 0 && this.hero !== null);
    setAttribute(parts.others, "aria-expanded", String(this.open));
    setText(parts.othersText, rest(others, running || !turn.result ? "other draft" : "other answer"));
    setAttribute(this.root, "data-others", this.open ? "open" : turn.result ? "folded" : "rows");
    show(parts.instead, this.before !== null);
    if (this.before) setText(parts.insteadText, `${nameOf(this.before.member)}'s draft stood here; another answer was chosen.`);
  }

  /** Give up what is on the page. */
  leave() {
    this.root.remove();
  }

  /**
   * @param {Turn} turn
   * @param {boolean} running
   */
  head(turn, running) {
    const { parts } = this;
    const { rewrite } = turn;
    setText(parts.question, turn.question);
    this.root.classList.toggle("long-question", turn.question.length > 160 || turn.question.includes("\n"));
    setAttribute(this.root, "data-status", turn.status);
    const writing = running && !rewrite.over && rewrite.text.trim() !== "";
    const changed = rewrite.accepted !== null && rewrite.accepted.trim() !== turn.question.trim();
    const [label, text] = writing
      ? ["Rewriting:", rewrite.text]
      : changed
        ? ["Asked as:", rewrite.accepted ?? ""]
        : rewrite.refused && rewrite.tried
          ? ["Rewrite rejected:", rewrite.refused]
          : turn.optimize
            ? ["", ""]
            : ["Asked in your own words", ""];
    setText(parts.askedLabel, label);
    setText(parts.askedText, text);
    show(parts.asked, label !== "");
  }

  /**
   * @param {Turn} turn
   * @param {{running: boolean, last: boolean, busy: boolean}} around
   */
  tools(turn, { running, last, busy }) {
    const { parts, entry } = this;
    const home = this.hero && !this.hero.parts.foot.hidden ? this.hero.parts.foot : parts.bar;
    if (parts.tools.parentElement !== home) home.append(parts.tools);
    show(parts.tools, !running);
    show(parts.edit, !busy);
    show(parts.again, last && !busy && Boolean(turn.result || turn.used));
    show(parts.plain, last && !busy && Boolean(turn.result && turn.rewrite.accepted && turn.rewrite.accepted.trim() !== turn.question.trim()));
    show(parts.versions, entry.versions.length > 1 && !busy);
    setText(parts.version, `${entry.shown + 1} of ${entry.versions.length}`);
    parts.older.disabled = entry.shown === 0;
    parts.newer.disabled = entry.shown === entry.versions.length - 1;
    const trouble = !running && turn.trouble !== "" && !turn.used;
    show(parts.trouble, trouble);
    setText(parts.troubleText, turn.trouble);
    show(parts.troubleAgain, trouble && last && !busy);
  }

  /** @param {Turn} turn */
  told({ notices: lines }) {
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
    show(parts.vote, Boolean(turn.result) && answers > 1 && this.open);
    setAttribute(parts.tie, "aria-pressed", String(vote === TIE));
    setAttribute(parts.bad, "aria-pressed", String(vote === NONE));
    setText(parts.agreement, vote ? this.known.votes.agreement() : "");
  }
}

/**
 * Who else there is: those that failed, or were not waited for, apart.
 * @param {import("./turn.js").Column[]} columns
 * @param {string} what one of them is
 */
function rest(columns, what) {
  const names = (/** @type {(column: import("./turn.js").Column) => boolean} */ which) => columns.filter(which).map(({ member }) => nameOf(member));
  const bad = names(({ failure }) => failure !== "");
  const spare = names(({ state }) => state === "not_needed");
  const good = names(({ failure, state }) => failure === "" && state !== "not_needed");
  const parts = [
    good.length ? `${many(good.length, what)}: ${good.join(", ")}` : "",
    bad.length ? `${list(bad)} failed` : "",
    spare.length ? `${list(spare)} ${spare.length === 1 ? "was" : "were"} not needed` : "",
  ];
  return parts.filter(Boolean).join("; ");
}

/**
 * Whether all answers are shown, or the chosen one alone.
 * @param {boolean | null} all as the conversation has it; null for as it was last
 */
export const showsAll = (all) => all ?? kept("local", OTHERS) === "open";

/**
 * Move an element, with its focus and its selection where the browser can.
 * @param {HTMLElement} moved
 * @param {any} home
 * @param {HTMLElement | null} before
 */
function move(moved, home, before) {
  const at = before?.parentElement === home ? before : null;
  if (home.moveBefore && moved.isConnected && home.isConnected) home.moveBefore(moved, at);
  else home.insertBefore(moved, at);
}
