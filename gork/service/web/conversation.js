// The conversation: the questions with all versions of their turns, kept by the browser.

import { decidedBy } from "./answers.js";
import { areDefault, defaults } from "./settings.js";
import * as storing from "./storing.js";
import { answerOf, endEarly, isRunning } from "./turn.js";

/** Characters of history that are sent at most: far more than any of the models reads. */
const MOST_HISTORY = 200_000;
/** Characters of a program that the service takes. */
const LONGEST_PROGRAM = 20_000;
/** Characters of a title, and of the questions that the search looks through. */
const LONGEST_TITLE = 80;
const MOST_WORDS = 4000;

/**
 * @typedef {import("./turn.js").Turn} Turn
 * @typedef {{told: import("./storing.js").Told, turns: Turn[]}} Left
 * @typedef {object} Entry one question and the times it was asked
 * @property {number} key
 * @property {Turn[]} versions
 * @property {number} shown which of them counts
 * @property {Entry[][]} later what followed each version, but for the one that is shown: that is the conversation
 */

export class Conversation {
  constructor() {
    this.id = storing.newId();
    /** What the database has of it; 0 for nothing. */
    this.revision = 0;
    /** The user's own title; "" for the first question. */
    this.title = "";
    /** @type {Entry[]} */
    this.entries = [];
    /** @type {import("./settings.js").Settings} */
    this.settings = defaults();
    this.lastKey = 0;
    /** @type {Set<Turn>} which changed since they were kept */
    this.changed = new Set();
    /** Whether anything else changed. */
    this.dirty = false;
    /** @type {Turn[] | null} which are being kept just now, with all else; null while nothing is */
    this.flying = null;
    /** @type {Promise<unknown>} the save that is going on, if one is */
    this.saving = Promise.resolve();
    this.waits = false;
  }

  /** @param {Turn} turn @returns {Entry} */
  add(turn) {
    const entry = { key: ++this.lastKey, versions: [turn], shown: 0, later: [] };
    this.entries.push(entry);
    this.changed.add(turn);
    return entry;
  }

  /**
   * Add another version of an entry's turn; what followed stays with the version before. One in which nothing was written makes room.
   * @param {Entry} entry
   * @param {Turn} turn
   */
  addVersion(entry, turn) {
    this.leave(entry);
    const worth = entry.versions.map((version, at) => Boolean(version.result || entry.later[at]?.length || version.columns.some((column) => column.text)));
    entry.later = entry.versions.map((_, at) => entry.later[at] ?? []).filter((_, at) => worth[at]);
    entry.versions = entry.versions.filter((_, at) => worth[at]);
    entry.versions.push(turn);
    entry.shown = entry.versions.length - 1;
    this.changed.add(turn);
  }

  /**
   * Go to another version, with what followed it.
   * @param {Entry} entry
   * @param {number} shown
   */
  show(entry, shown) {
    this.leave(entry);
    entry.shown = shown;
    this.entries.push(...(entry.later[shown] ?? []));
    entry.later[shown] = [];
  }

  /** @param {Entry} entry whose version will no longer be shown: what follows is put away with it */
  leave(entry) {
    entry.later[entry.shown] = this.entries.splice(this.entries.indexOf(entry) + 1);
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

  /** Every turn of it, those of versions that are not shown as well. @returns {Turn[]} */
  allTurns() {
    /** @type {(entries: Entry[]) => Turn[]} */
    const within = (entries) => entries.flatMap((entry) => [...entry.versions, ...entry.later.flatMap((later) => within(later ?? []))]);
    return within(this.entries);
  }

  /** What the list has of it, and how its turns hang together. @returns {import("./storing.js").Told} */
  told() {
    const questions = this.entries.map((entry) => shownOf(entry).question);
    /** @type {(entry: Entry) => import("./storing.js").EntryRecord} */
    const record = ({ key, versions, shown, later }) => ({ key, shown, turns: versions.map((turn) => turn.key), later: versions.map((_, at) => (later[at] ?? []).map(record)) });
    return {
      id: this.id,
      title: this.title || (questions[0] ?? "").trim().split("\n", 1)[0].slice(0, LONGEST_TITLE),
      words: questions.join("\n").slice(0, MOST_WORDS),
      changed: Date.now(),
      revision: this.revision,
      entries: this.entries.map(record),
      settings: this.settings,
    };
  }

  /**
   * Keep it; one save at a time, and what changes meanwhile with the next one. Rejects if the browser has no room, or keeps nothing.
   * @param {Turn} [turn] which changed
   * @returns {Promise<"kept" | "copied" | "nothing">}
   */
  async save(turn) {
    if (turn) this.changed.add(turn);
    this.dirty = true;
    if (this.waits || (!this.entries.length && areDefault(this.settings))) return "nothing";
    this.waits = true;
    await this.saving.catch(() => {});
    this.waits = false;
    const flying = [...this.changed];
    this.flying = flying;
    this.changed.clear();
    this.dirty = false;
    const saving = storing.save(this, flying);
    this.saving = saving;
    try {
      return await saving;
    } catch (error) {
      for (const each of flying) this.changed.add(each);
      this.dirty = true;
      throw error;
    } finally {
      this.flying = null;
    }
  }

  /** What is not kept yet, for a page that is being left; null if everything is. @returns {Left | null} */
  unkept() {
    const turns = [...new Set([...(this.flying ?? []), ...this.changed])];
    return turns.length || this.dirty || this.flying ? { told: this.told(), turns } : null;
  }

  /**
   * Bring one back that is kept, null if there is none of that id. A turn that was running then is to be read on if the service had taken
   * it, else it is an interrupted one now.
   * @param {string} id
   * @param {Left | null} left what the database may not have of it
   * @returns {Promise<Conversation | null>}
   */
  static async load(id, left = null) {
    const kept = await known(id, left);
    if (!kept) return null;
    const conversation = new Conversation();
    /** @type {(record: import("./storing.js").EntryRecord) => Entry[]} */
    const entry = ({ key, turns, shown, later }) => {
      const versions = turns.map((name) => kept.turns.get(name)).filter((turn) => turn !== undefined);
      if (!versions.length) return [];
      conversation.lastKey = Math.max(conversation.lastKey, key);
      return [{ key, versions, shown: Math.min(shown, versions.length - 1), later: later.map((entries) => entries.flatMap(entry)) }];
    };
    const { told } = kept;
    Object.assign(conversation, { id, revision: told.revision, title: told.title, settings: { ...defaults(), ...told.settings } });
    conversation.entries = told.entries.flatMap(entry);
    const last = conversation.entries.at(-1);
    for (const turn of conversation.allTurns()) {
      const goesOn = turn.token && last && turn === shownOf(last);
      if (isRunning(turn) && !goesOn) endEarly(turn, "interrupted", "This turn was interrupted: the page was left while it ran.");
    }
    return conversation;
  }
}

/**
 * What is known of a conversation: what the database has, and above it what was left.
 * @param {string} id
 * @param {Left | null} left
 */
async function known(id, left) {
  const kept = await storing.load(id);
  if (left?.told.id !== id) return kept;
  const turns = kept?.turns ?? new Map();
  for (const turn of left.turns) turns.set(turn.key, turn);
  return { told: { ...left.told, revision: kept?.told.revision ?? 0 }, turns };
}

/**
 * The version of an entry's turn that is shown, which is the one that counts.
 * @param {Entry} entry
 */
export const shownOf = (entry) => entry.versions[entry.shown];
