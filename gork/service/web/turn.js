// A turn as the page knows it: plain data that events change. Nothing in here touches the document.

import { problemOf, ran } from "./answers.js";
import { isAboutToken } from "./service.js";
import { newId } from "./storing.js";
import { sentence } from "./wording.js";

/**
 * @typedef {object} Column one candidate
 * @property {string} member
 * @property {string} model
 * @property {string} state waiting, loading, reading, writing, done, failed, not_needed or stopped
 * @property {string} detail a remark of the service on the state
 * @property {string} text
 * @property {number} tokens
 * @property {number} since when it got its state, ms
 * @property {number} begun when it was asked, ms; 0 before
 * @property {number} first when its first token came, ms; 0 before
 * @property {any} answer the service's record of its answer, at the end
 * @property {string} failure why there is none
 *
 * @typedef {object} Turn
 * @property {string} key the page's own name of it
 * @property {string} id the service's; "" until it took the question
 * @property {string} token the turn's secret, by which it is read on and stopped; "" when it is over
 * @property {number} last the number of the service's event that came last
 * @property {string} question the user's own words
 * @property {boolean} optimize whether a rewrite was wanted
 * @property {string} status sending, queued, running, finished, or a kind of trouble
 * @property {string} trouble what went wrong, for people
 * @property {number} ahead
 * @property {string} stage "", rewrite, answer or judge
 * @property {number} at when it was asked, ms since 1970
 * @property {string} ensemble
 * @property {Record<string, string>} roles
 * @property {{text: string, accepted: string | null, refused: string | null, over: boolean, tried: boolean}} rewrite `tried`: somebody was asked for one
 * @property {string[]} likely the candidates, whoever will most likely be chosen first, as the service said
 * @property {Column[]} columns
 * @property {string} judge what the judge is doing
 * @property {any} verdict
 * @property {string[]} notices
 * @property {any} result the whole turn as the service tells it, at the end
 * @property {string} used the member whose answer the user took instead of the chosen one, or where none was chosen; "" for none
 * @property {string} reason the judge's words, if it was asked for them
 */

const RUNNING = new Set(["sending", "queued", "running"]);
/** The states in which nothing more comes of a member. */
export const ENDED = new Set(["done", "failed", "not_needed"]);

/**
 * A turn that is about to be asked.
 * @param {string} question
 * @param {boolean} optimize
 * @returns {Turn}
 */
export function newTurn(question, optimize) {
  return {
    key: newId(),
    id: "",
    token: "",
    last: 0,
    question,
    optimize,
    status: "sending",
    trouble: "",
    ahead: 0,
    stage: "",
    at: Date.now(),
    ensemble: "",
    roles: {},
    rewrite: { text: "", accepted: null, refused: null, over: false, tried: false },
    likely: [],
    columns: [],
    judge: "",
    verdict: null,
    notices: [],
    result: null,
    used: "",
    reason: "",
  };
}

/** @param {Turn} turn */
export const isRunning = (turn) => RUNNING.has(turn.status);

/**
 * The text that the turn answers with, null if there is none.
 * @param {Turn} turn
 * @returns {string | null}
 */
export const answerOf = (turn) => (turn.used ? (columnOf(turn, turn.used)?.text ?? null) : turn.result ? turn.result.answer : null);

/**
 * The member whose answer was chosen, null before.
 * @param {Turn} turn
 * @returns {string | null}
 */
export const winnerOf = (turn) => turn.result?.winner ?? turn.verdict?.winner ?? null;

/**
 * The member whose answer is the turn's: the user's choice above the judge's; null before there is one.
 * @param {Turn} turn
 * @returns {string | null}
 */
export const chosenOf = (turn) => turn.used || winnerOf(turn);

/**
 * Take a member's answer as the turn's.
 * @param {Turn} turn
 * @param {string} member
 */
export function use(turn, member) {
  turn.used = member === winnerOf(turn) ? "" : member;
}

/**
 * The member that will most likely be chosen, as far as can be told now: a program's result decides, else the configured order.
 * @param {Turn} turn
 * @param {string[]} prior the candidates, the configured best first
 * @returns {string | null}
 */
export function favouriteOf(turn, prior) {
  const finished = turn.columns.filter((column) => column.answer);
  const going = isRunning(turn) || !finished.length ? turn.columns : finished;
  return best(turn, going, turn.likely?.length ? turn.likely : prior); // a turn that was kept by an earlier version has none
}

/**
 * Whether a draft is finished that can be chosen.
 * @param {Turn} turn
 */
export const isAnswered = (turn) => turn.columns.some((column) => column.answer && !problemOf(column.answer));

/**
 * @param {Turn} turn
 * @param {Column[]} columns
 * @param {string[]} prior
 */
function best(turn, columns, prior) {
  const able = columns.filter((column) => !column.failure && column.state !== "not_needed" && !problemOf(column.answer));
  const computed = able.filter((column) => ran(column.answer));
  const from = computed.length ? computed : able.length ? able : columns.filter((column) => !column.failure);
  /** @param {Column} column the question's own code, which has no role, above all members */
  const rank = ({ member }) => (prior.includes(member) ? prior.indexOf(member) : turn.roles[member] ? prior.length : -1);
  return from.length ? from.reduce((one, other) => (rank(other) < rank(one) ? other : one)).member : null;
}

/**
 * Have a turn that was running run again.
 * @param {Turn} turn
 */
export function resume(turn) {
  Object.assign(turn, { status: "running", trouble: "" });
  for (const column of turn.columns) if (column.state === "stopped") column.state = "writing";
}

/**
 * End a turn before its time.
 * @param {Turn} turn
 * @param {string} kind stopped, interrupted, lost, gone, token, wrong_token, busy, refused, bad or broken
 * @param {string} message
 */
export function endEarly(turn, kind, message) {
  turn.status = kind;
  if (!isAboutToken(kind)) turn.token = ""; // else it is read on when the service's own token is there
  turn.trouble = sentence(message);
  for (const column of turn.columns) if (!ENDED.has(column.state)) column.state = "stopped";
}

/**
 * Take in an event of the service; kinds that are not known are passed over.
 * @param {Turn} turn
 * @param {string} kind
 * @param {any} data
 * @param {number} now ms
 * @param {number} [id] the event's number
 */
export function apply(turn, kind, data, now, id = 0) {
  turn.last = id || turn.last;
  const handler = Object.hasOwn(HANDLERS, kind) ? HANDLERS[kind] : null;
  handler?.(turn, data, now);
}

/**
 * @param {Turn} turn
 * @param {string} member
 */
const columnOf = (turn, member) => turn.columns.find((column) => column.member === member);

/**
 * The column of an answer's author; what the code in a question gives is nobody's, and gets one when it comes.
 * @param {Turn} turn
 * @param {any} answer
 */
function authorOf(turn, { member, computed }) {
  const known = columnOf(turn, member);
  if (known || !computed || typeof member !== "string") return known;
  const column = newColumn(member);
  turn.columns.push(column);
  return column;
}

/** @param {string} member @returns {Column} */
const newColumn = (member) => ({
  member, model: "", state: "waiting", detail: "", text: "", tokens: 0, since: 0, begun: 0, first: 0, answer: null, failure: "",
});

/** Of these the rewrite's line, or the verdict's, says why they failed. */
const SAID_ELSEWHERE = new Set(["promptimizer", "judge"]);

/** @type {Record<string, (turn: Turn, data: any, now: number) => void>} */
const HANDLERS = {
  accepted(turn, { id, ensemble, members, token, likely }) {
    Object.assign(turn, { id, ensemble, roles: members, token: token ?? "", likely: likely ?? [], status: "running" });
    turn.columns = Object.entries(members)
      .filter(([, role]) => role === "candidate")
      .map(([member]) => newColumn(member));
  },
  queued(turn, { ahead }) {
    turn.status = "queued";
    turn.ahead = ahead;
  },
  stage(turn, { stage }) {
    turn.status = "running";
    turn.stage = stage;
    if (stage === "rewrite") turn.rewrite.tried = true;
  },
  member(turn, { member, state, detail }, now) {
    const column = columnOf(turn, member);
    if (turn.roles[member] === "judge") turn.judge = state;
    if (!column) return;
    if (column.state !== state) column.since = now;
    if (state !== "waiting" && !column.begun) column.begun = now;
    column.state = state;
    column.detail = detail;
    if (state === "not_needed") Object.assign(column, { text: "", tokens: 0, first: 0 });
  },
  token(turn, { member, text }, now) {
    const column = columnOf(turn, member);
    if (!column) {
      if (turn.roles[member] === "promptimizer") turn.rewrite.text += text;
      return;
    }
    if (!column.first) column.first = now;
    column.begun ||= now;
    column.text += text;
    column.tokens += 1;
    if (column.state !== "writing") column.since = now;
    column.state = "writing";
  },
  restarted(turn, { member, why }) {
    const column = columnOf(turn, member);
    if (column) Object.assign(column, { text: "", tokens: 0, first: 0, detail: why });
    else if (turn.roles[member] === "promptimizer") turn.rewrite.text = "";
  },
  rewritten(turn, { rewrite, rewrite_refused: refused }) {
    Object.assign(turn.rewrite, { text: "", accepted: rewrite, refused, over: true });
  },
  answered(turn, answer) {
    settle(turn, answer);
  },
  failed(turn, { member, message }) {
    const column = columnOf(turn, member);
    if (column) Object.assign(column, { state: "failed", failure: message });
    else if (!SAID_ELSEWHERE.has(turn.roles[member])) turn.notices.push(`${member} failed: ${message}`);
  },
  judged(turn, verdict) {
    turn.verdict = verdict;
  },
  notice(turn, { text, about_verdict: withVerdict, about_members: withMembers }) {
    if (!withVerdict && !withMembers) turn.notices.push(text);
  },
  finished(turn, result) {
    for (const answer of result.answers) settle(turn, answer);
    for (const column of turn.columns) if (result.not_needed?.includes(column.member)) column.state = "not_needed";
    const verdict = { ...result.verdict, winner: result.winner };
    Object.assign(turn, { result, verdict, status: "finished", stage: "", token: "" });
  },
  broken(turn, { kind, message }) {
    if (kind === "cancelled") return endEarly(turn, "stopped", "This turn was stopped.");
    const told = kind === "no_answer" && turn.columns.length > 0 && turn.columns.every((column) => column.failure);
    endEarly(turn, kind === "stopped" ? "restarting" : "broken", told ? "No model could answer this." : message);
  },
};

/**
 * @param {Turn} turn
 * @param {any} answer
 */
function settle(turn, answer) {
  const column = authorOf(turn, answer);
  if (!column) return;
  const { text, ...rest } = answer;
  Object.assign(column, { state: "done", detail: "", text, model: answer.model, answer: rest });
}
