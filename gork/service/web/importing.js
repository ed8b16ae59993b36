// A conversation out of a file that the page exported.

import { Conversation } from "./conversation.js";
import { apply, endEarly, newTurn, use } from "./turn.js";

/**
 * The conversation of an exported file. Throws where it is none.
 * @param {string} text JSON
 */
export function fromJson(text) {
  const { turns } = JSON.parse(text);
  if (!Array.isArray(turns) || !turns.length) throw new TypeError("no turns");
  const conversation = new Conversation();
  for (const told of turns) conversation.add(turnOf(told));
  return conversation;
}

/** @param {any} told */
function turnOf(told) {
  const turn = newTurn(text(told.question.text), Boolean(told.question.rewrite));
  turn.at = Date.parse(told.at) || turn.at;
  const failures = Array.isArray(told.failures) ? told.failures : told.answers.filter((/** @type {any} */ answer) => answer.failure);
  const authors = [...told.answers, ...failures].map((/** @type {any} */ answer) => text(answer.member));
  const others = Array.isArray(told.not_needed) ? told.not_needed.map(text) : [];
  const members = Object.fromEntries([...authors, ...others].map((member) => [member, "candidate"]));
  const id = typeof told.id === "string" ? told.id : "";
  apply(turn, "accepted", { id, ensemble: String(told.ensemble ?? ""), members }, turn.at);
  if (told.verdict) {
    const { margin, scores, winner } = { ...told.verdict, winner: told.winner };
    if (typeof margin !== "number" || !Object.values(scores).every(Number.isFinite)) throw new TypeError("no verdict");
    for (const answer of told.answers) if (typeof answer.text !== "string" || typeof answer.seconds !== "number") throw new TypeError("no answer");
    if (!authors.includes(text(winner)) || typeof told.timings?.total !== "number") throw new TypeError("no winner");
    for (const failure of failures) apply(turn, "failed", { member: failure.member, message: text(failure.message) }, turn.at);
    apply(turn, "rewritten", { rewrite: told.question.rewrite ?? null, rewrite_refused: told.question.rewrite_refused ?? null }, turn.at);
    apply(turn, "finished", told, turn.at);
  } else {
    for (const answer of told.answers) apply(turn, "token", { member: answer.member, text: text(answer.text) }, turn.at);
    for (const answer of failures) apply(turn, "failed", { member: answer.member, message: text(answer.failure) }, turn.at);
    endEarly(turn, "stopped", text(told.reason));
  }
  if (authors.includes(told.used)) use(turn, told.used);
  return turn;
}

/** @param {unknown} value */
function text(value) {
  if (typeof value !== "string") throw new TypeError("no text");
  return value;
}
