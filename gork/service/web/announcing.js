// The one line that says what is going on, for eyes and for screen readers.

import { byId, element, setText } from "./elements.js";

/** Milliseconds after which a text that was only to be read aloud is taken out of the page again. */
const READ = 4000;
let said = "";

/**
 * Say what changed; the same twice is said once.
 * @param {string} line
 * @param {string} [aloud] what only screen readers get besides: a whole answer
 */
export function say(line, aloud = "") {
  const status = byId("status");
  if (line === said && !aloud) return;
  said = line;
  setText(status, line);
  if (!aloud) return;
  const hidden = element("span", "unseen", ` ${aloud}`);
  status.append(hidden);
  setTimeout(() => hidden.remove(), READ);
}

const TITLE = document.title;

/** Mark the page's tab until it is looked at. */
export function signal() {
  if (!document.hidden) return;
  document.title = `✓ ${TITLE}`;
  document.addEventListener("visibilitychange", () => (document.title = TITLE), { once: true });
}

/**
 * What to say while a turn runs; "" when there is nothing new to say.
 * @param {import("./turn.js").Turn} turn
 */
export function progress(turn) {
  if (turn.status === "sending") return "Sent.";
  if (turn.status === "queued") return turn.ahead ? `Waiting in line: ${turn.ahead} before yours.` : "Waiting in line: yours is next.";
  const answered = turn.columns.filter((column) => column.answer).length;
  const failed = turn.columns.filter((column) => column.failure).length;
  const far = `${answered} of ${turn.columns.length} ${answered === 1 ? "has" : "have"} answered${failed ? `, ${failed} failed` : ""}.`;
  if (turn.stage === "rewrite") return "Making your prompt clear.";
  if (turn.stage === "answer") return answered || failed ? far : `${turn.columns.length} models are answering.`;
  if (turn.stage === "judge") return "The judge is at work.";
  return "";
}
