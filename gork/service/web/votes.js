// The user's own votes, kept in this browser, and how often they are the judge's.

const KEY = "gork.votes";
const MOST = 1000;

/** @typedef {{turn: string, choice: string, judge: string | null}} Vote `judge` is null where no judge decided */
/** Choices that are no member: no member's name has a space. */
export const TIE = "a tie";
export const NONE = "none of them";

export class Votes {
  constructor() {
    /** @type {Vote[]} */
    this.votes = [];
    try {
      const kept = JSON.parse(localStorage.getItem(KEY) ?? "[]");
      if (Array.isArray(kept)) this.votes = kept.filter((vote) => typeof vote?.turn === "string" && typeof vote?.choice === "string");
    } catch {
      // they are kept as long as the page is open
    }
  }

  /** @param {string} turn its id @returns {string | null} */
  of(turn) {
    return this.votes.find((vote) => vote.turn === turn)?.choice ?? null;
  }

  /**
   * Vote, change a vote, or take it back by voting the same again.
   * @param {string} turn its id
   * @param {string} choice a member, TIE or NONE
   * @param {string | null} judge whom the judge chose
   */
  cast(turn, choice, judge) {
    const before = this.of(turn);
    this.votes = this.votes.filter((vote) => vote.turn !== turn);
    if (before !== choice) this.votes.push({ turn, choice, judge });
    this.votes = this.votes.slice(-MOST);
    try {
      localStorage.setItem(KEY, JSON.stringify(this.votes));
    } catch {
      // as above
    }
  }

  /** How often a vote for one answer was for the one that the judge chose, in words; "" without any. */
  agreement() {
    const counted = this.votes.filter((vote) => vote.judge && vote.choice !== TIE && vote.choice !== NONE);
    const agreed = counted.filter((vote) => vote.choice === vote.judge).length;
    return counted.length ? `You agreed with the judge in ${agreed} of ${counted.length}.` : "";
  }
}
