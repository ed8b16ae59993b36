// Asks a question and lets its turn follow what comes: the one place that knows both the service and the turn.

import { deliberate, ServiceError } from "./service.js";
import { apply, endEarly, isRunning } from "./turn.js";

/** Milliseconds after which a lost connection is believed: a page that is being left loses its own before it goes. */
const LEAVING = 400;

/**
 * Ask; resolves when the turn is over, however it ended. Never rejects.
 * @param {import("./turn.js").Turn} turn
 * @param {object} request
 * @param {AbortSignal} signal
 * @param {(kind: string, data: any) => void} changed
 */
export async function ask(turn, request, signal, changed) {
  let kind = "ended";
  try {
    for await (const event of deliberate(request, signal)) {
      apply(turn, event.kind, event.data, Date.now());
      changed(event.kind, event.data);
    }
    if (isRunning(turn)) endEarly(turn, "lost", "The connection to the service was lost.");
  } catch (error) {
    if (signal.aborted) endEarly(turn, "stopped", "You stopped this turn.");
    else if (error instanceof ServiceError) {
      if (error.kind === "lost") await new Promise((resolve) => setTimeout(resolve, LEAVING));
      endEarly(turn, error.kind, error.message);
    }
    else {
      console.warn("not understood:", error);
      turn.result = turn.verdict = null;
      endEarly(turn, "bad", "The service sent something that this page does not understand.");
    }
  }
  changed(kind, null);
}
