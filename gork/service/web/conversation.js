// The conversation: the questions with all versions of their turns, kept in the tab.

import { decidedBy } from "./answers.js";
import { defaults } from "./settings.js";
import { answerOf, endEarly, isRunning } from "./turn.js";

const KEY = "gork.conversation";
const FORM = 1;
/** Characters of history that are sent at most: far more than any of the models reads. */
const MOST_HISTORY = 200_000;
/** Characters of a program that the service takes. */
const LONGEST_PROGRAM = 20_000;

/**
 * @typedef {import("./turn.js").Turn} Turn
 * @typedef {{key: number, versions: Turn[], shown: number}} Entry one question and the times it was asked
 */

export class Conversation {
  constructor() {
    /** @type {Entry[]} */
    this.entries = [];
    /** @type {import("./settings.js").Settings} */
    this.settings = defaults();
    this.lastKey = 0;
  }

  /** @param {Turn} turn @returns {Entry} */
  add(turn) {
    const entry = { key: ++this.lastKey, versions: [turn], shown: 0 };
    this.entries.push(entry);
    return entry;
  }

  /**
   * Add another version of an entry's turn; one in which nothing was written makes room for it.
   * @param {Entry} entry
   * @param {Turn} turn
   */
  addVersion(entry, turn) {
    entry.versions = entry.versions.filter((version) => version.result || version.columns.some((column) => column.text));
    entry.versions.push(turn);
    entry.shown = entry.versions.length - 1;
  }

  /**
   * Forget an entry and all after it; returns what was forgotten.
   * @param {Entry} entry
   */
  cutFrom(entry) {
    const index = this.entries.indexOf(entry);
    return index < 0 ? [] : this.entries.splice(index);
  }

  /**
   * What the models are to know when `entry` is asked: the user's own words and the chosen answers before it.
   * @param {Entry} entry
   */
  historyBefore(entry) {
    const messages = [];
    let left = MOST_HISTORY;
    for (const earlier of this.entries.slice(0, this.entries.indexOf(entry)).reverse()) {
      const turn = shownOf(earlier);
      const answer = answerOf(turn);
      if (!answer) continue;
      left -= turn.question.length + answer.length;
      if (left < 0) break;
      messages.unshift({ role: "user", content: turn.question }, { role: "assistant", content: answer });
    }
    return messages;
  }

  /**
   * The program that computed the answer before `entry`, for a question that goes on with it; undefined where none did.
   * @param {Entry} entry
   */
  programBefore(entry) {
    const before = this.entries.slice(0, this.entries.indexOf(entry)).map(shownOf).filter(answerOf).at(-1);
    const program = before && decidedBy(before)?.program;
    return program && program.length <= LONGEST_PROGRAM ? program : undefined;
  }

  /** Keep it in the tab; the oldest is left out when there is no room. Returns whether all of it is kept. */
  save() {
    for (let from = 0; from <= this.entries.length; from += 1) {
      try {
        sessionStorage.setItem(KEY, JSON.stringify({ form: FORM, entries: this.entries.slice(from), settings: this.settings }));
        return from === 0;
      } catch {
        // no room: without the oldest entry there may be
      }
    }
    return false;
  }

  /** Bring back what is kept; a turn that was running then is an interrupted one now. */
  restore() {
    try {
      const kept = JSON.parse(sessionStorage.getItem(KEY) ?? "null");
      if (kept?.form === FORM) Object.assign(this, { entries: kept.entries, settings: { ...defaults(), ...kept.settings } });
    } catch {
      this.entries = [];
    }
    for (const entry of this.entries) {
      this.lastKey = Math.max(this.lastKey, entry.key);
      for (const turn of entry.versions) if (isRunning(turn)) endEarly(turn, "interrupted", "This turn was interrupted: the page was left while it ran.");
    }
  }
}

/**
 * The version of an entry's turn that is shown, which is the one that counts.
 * @param {Entry} entry
 */
export const shownOf = (entry) => entry.versions[entry.shown];
