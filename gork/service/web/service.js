// What the page asks of the service that it came from.

import { events } from "./sse.js";

const TOKEN = "gork.token";
/** Milliseconds without a byte after which the service is taken for gone: it sends a sign of life every few seconds. */
const SILENCE = 60_000;
let token = kept();

/** An error with a `kind`: "lost", "gone" (there is no such turn), "token" (none was sent), "wrong_token", "busy", "refused" or "bad". */
export class ServiceError extends Error {
  /**
   * @param {string} kind
   * @param {string} message
   */
  constructor(kind, message) {
    super(message);
    this.kind = kind;
  }
}

/**
 * Whether an error of this kind is mended by entering a token.
 * @param {string} kind
 */
export const isAboutToken = (kind) => kind === "token" || kind === "wrong_token";

function kept() {
  try {
    return sessionStorage.getItem(TOKEN) ?? "";
  } catch {
    return "";
  }
}

/**
 * Use a token from now on, in this tab.
 * @param {string} given
 */
export function useToken(given) {
  token = given.trim();
  try {
    sessionStorage.setItem(TOKEN, token);
  } catch {
    // it is used all the same, until the page is left
  }
}

/** The service, its ensemble and its models. */
export async function members() {
  const response = await request("api/members", { signal: AbortSignal.timeout(SILENCE) });
  return response.json();
}

/**
 * The events of a turn, which goes on for a while when this page is left.
 * @param {object} question what `POST /api/deliberate` takes
 * @param {AbortSignal} signal
 */
export const deliberate = (question, signal) => stream("api/deliberate", asJson({ ...question, keep: true }), signal);

/**
 * @typedef {{id: string, token: string, last: number}} Running a turn at the service, and the number of the event of it that came last
 */

/** @param {Running} turn */
const ofTurn = ({ token, last }) => ({ "X-Turn-Token": token, "Last-Event-ID": String(last) });

/**
 * The events of a turn that was asked before, from where it was.
 * @param {Running} turn
 * @param {AbortSignal} signal
 */
export const readOn = (turn, signal) => stream(`api/deliberate/${turn.id}`, { headers: ofTurn(turn) }, signal);

/**
 * Have the service stop a turn, or end it with what is written. Rejects with a `ServiceError`.
 * @param {Running} turn
 * @param {"stop" | "answer-now"} what
 */
export const tell = (turn, what) => request(`api/deliberate/${turn.id}/${what}`, { method: "POST", headers: ofTurn(turn), keepalive: true });

/**
 * The judge's words on a turn that is over.
 * @param {object} turn the turn as the service told it
 * @param {AbortSignal} signal
 */
export const explain = (turn, signal) => stream("api/explain", asJson({ turn }), signal);

/** @param {object} body @returns {RequestInit} */
const asJson = (body) => ({ method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });

/**
 * @param {string} path
 * @param {RequestInit} how
 * @param {AbortSignal} signal
 */
async function* stream(path, how, signal) {
  const silent = new AbortController();
  let watch = setTimeout(() => silent.abort(), SILENCE);
  try {
    const both = AbortSignal.any([signal, silent.signal]);
    const response = await request(path, { ...how, signal: both });
    if (!response.body) throw new ServiceError("lost", "The service sent nothing.");
    for await (const event of events(response.body)) {
      clearTimeout(watch);
      watch = setTimeout(() => silent.abort(), SILENCE);
      if (event.kind) yield event;
    }
  } catch (error) {
    if (error instanceof ServiceError || signal.aborted) throw error;
    if (silent.signal.aborted) throw new ServiceError("lost", "Nothing has come from the service for a minute.");
    if (error instanceof SyntaxError) throw new ServiceError("bad", "The service sent something that this page does not understand.");
    throw new ServiceError("lost", "The connection to the service was lost.");
  } finally {
    clearTimeout(watch);
  }
}

/**
 * @param {string} path relative to the page, so that it works behind a proxy that adds a folder
 * @param {RequestInit} how
 */
async function request(path, how) {
  const headers = new Headers(how.headers);
  if (token) headers.set("Authorization", `Bearer ${token}`);
  let response;
  try {
    response = await fetch(new URL(path, document.baseURI), { ...how, headers, cache: "no-store", redirect: "error" });
  } catch (error) {
    if (how.signal?.aborted) throw error;
    throw new ServiceError("lost", "The service cannot be reached.");
  }
  if (response.ok) return response;
  throw await refusal(response);
}

/** @param {Response} response */
async function refusal(response) {
  const said = await response.json().then((body) => body?.error, () => null);
  const message = typeof said === "string" && said ? said : `The service answered with status ${response.status}.`;
  if (response.status === 401) {
    return token ? new ServiceError("wrong_token", "The service does not accept this token.") : new ServiceError("token", "The service asks for a token.");
  }
  if (response.status === 404) return new ServiceError("gone", message);
  if (response.status >= 502 && response.status <= 504) {
    const after = Number(response.headers.get("Retry-After"));
    return new ServiceError("busy", after > 0 ? `${message} (try again in ${after} s)` : message);
  }
  return new ServiceError("refused", message);
}
