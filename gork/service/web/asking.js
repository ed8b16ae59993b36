// Asks a question and lets its turn follow what comes, also over a lost connection: the one place that knows both the service and the turn.

import { deliberate, readOn, ServiceError, tell } from "./service.js";
import { apply, endEarly, isRunning } from "./turn.js";

/** Milliseconds before each further attempt to read on, in all less than the service lets a turn go on that nobody reads. */
const WAITS = [400, 1000, 2000, 4000, 8000, 15_000, 30_000, 30_000, 30_000];
/** Milliseconds that a turn which is stopped at its very beginning has to say how it is called. */
const NAMING = 1500;
/** What may be over in a moment: no connection, or a proxy before a service that is being restarted. */
const PASSING = new Set(["lost", "busy"]);
const LOST = "The connection to the service was lost.";
const GONE = "The service no longer knows this turn: it was restarted, or the turn ended some time ago. What had arrived is kept.";

/** @typedef {import("./turn.js").Turn} Turn */

/**
 * Ask, or read on where a turn was that runs already; resolves when the turn is over, however it ended. Never rejects.
 * @param {Turn} turn
 * @param {object | null} request null for a turn that was asked before
 * @param {AbortSignal} signal which stops the turn
 * @param {(kind: string) => void} changed told of every event, of "lost" when the connection is, and of "ended"
 */
export async function follow(turn, request, signal, changed) {
  const reading = new AbortController();
  const halt = () => {
    stopThere(turn);
    if (turn.token) reading.abort();
    else setTimeout(() => reading.abort(), turn.status === "sending" ? NAMING : 0);
  };
  signal.addEventListener("abort", halt);
  let source = request ? deliberate(request, reading.signal) : readOn(turn, reading.signal);
  for (let tries = 0; ; ) {
    const at = turn.last;
    const error = await take(turn, source, (kind) => {
      if (kind === "accepted" && signal.aborted) halt();
      changed(kind);
    });
    if (!isRunning(turn)) break;
    if (turn.last > at) tries = 0;
    const again = PASSING.has(error.kind) && turn.token !== "" && tries < WAITS.length;
    if (again) changed("lost");
    // A page that is being left loses its connection before it goes: that is not believed at once.
    if (again || error.kind === "lost") await pause(WAITS[again ? tries++ : 0], reading.signal);
    if (signal.aborted) endEarly(turn, "stopped", "You stopped this turn.");
    else if (!again) endEarly(turn, error.kind, error.kind === "gone" && turn.token ? GONE : error.message);
    if (!isRunning(turn)) break;
    source = readOn(turn, reading.signal);
  }
  signal.removeEventListener("abort", halt);
  changed("ended");
}

/**
 * Take in what comes; resolves to why no more does.
 * @param {Turn} turn
 * @param {AsyncIterable<import("./sse.js").Sent>} source
 * @param {(kind: string) => void} changed
 */
async function take(turn, source, changed) {
  try {
    for await (const { kind, data, id } of source) {
      apply(turn, kind, data, Date.now(), id);
      changed(kind);
    }
    return new ServiceError("lost", LOST);
  } catch (error) {
    if (error instanceof ServiceError) return error;
    if (error instanceof DOMException && error.name === "AbortError") return new ServiceError("lost", LOST);
    console.warn("not understood:", error);
    stopThere(turn);
    turn.result = turn.verdict = null;
    return new ServiceError("bad", "The service sent something that this page does not understand.");
  }
}

/** @param {Turn} turn whose models are stopped, if the service said how it is called */
function stopThere({ id, token, last }) {
  if (token) tell({ id, token, last }, "stop").catch((error) => console.info("the service did not hear of the stop:", error));
}

/**
 * @param {number} milliseconds
 * @param {AbortSignal} signal which ends it before
 */
const pause = (milliseconds, signal) =>
  new Promise((resolve) => {
    if (signal.aborted) resolve(undefined);
    setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", resolve);
  });
