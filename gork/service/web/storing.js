// Conversations in the browser's own database: one record a turn, and one a conversation that says which turns it has, and in which order.

/**
 * @typedef {import("./turn.js").Turn} Turn
 * @typedef {import("./conversation.js").Entry} Entry
 * @typedef {import("./conversation.js").Conversation} Conversation
 * @typedef {{key: number, turns: string[], shown: number, later: EntryRecord[][]}} EntryRecord
 * @typedef {object} Told a conversation as the list has it
 * @property {string} id
 * @property {string} title
 * @property {string} words its questions, for the search
 * @property {number} changed ms since 1970
 * @property {number} revision grows with every save: a tab that knows an older one must not write over it
 * @property {EntryRecord[]} entries
 * @property {import("./settings.js").Settings} settings
 */

const NAME = "gork";
const CONVERSATIONS = "conversations";
const TURNS = "turns";

/** @returns {string} a name that no other tab gives */
export const newId = () => `${Date.now().toString(36)}-${Math.random().toString(36).slice(2, 10)}`;

/** @type {Promise<IDBDatabase> | undefined} */
let opened;

/** The database. Rejects where the browser has none, or gives none to this page. */
function database() {
  opened ??= new Promise((resolve, reject) => {
    const request = indexedDB.open(NAME, 1);
    request.onupgradeneeded = () => {
      request.result.createObjectStore(CONVERSATIONS, { keyPath: "id" });
      request.result.createObjectStore(TURNS, { keyPath: ["conversation", "key"] });
    };
    request.onsuccess = () => {
      // Another tab that brings a newer form must not have to wait for this one.
      request.result.onversionchange = () => request.result.close();
      resolve(request.result);
    };
    request.onerror = () => reject(request.error);
    request.onblocked = () => reject(new Error("another tab holds the database"));
  });
  return opened;
}

/**
 * @template T
 * @param {IDBRequest<T>} request
 * @returns {Promise<T>}
 */
const done = (request) =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

/**
 * Work within one transaction: all of it happens, or nothing.
 * @template T
 * @param {IDBTransactionMode} mode
 * @param {(stores: {conversations: IDBObjectStore, turns: IDBObjectStore}) => Promise<T>} work
 * @returns {Promise<T>}
 */
async function within(mode, work) {
  const transaction = (await database()).transaction([CONVERSATIONS, TURNS], mode);
  const over = new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve(undefined);
    transaction.onabort = () => reject(transaction.error ?? new Error("the browser gave up the transaction"));
  });
  over.catch(() => {}); // told below, unless the work failed before
  const result = await work({ conversations: transaction.objectStore(CONVERSATIONS), turns: transaction.objectStore(TURNS) });
  await over;
  return result;
}

/** @param {string} id */
const turnsOf = (id) => IDBKeyRange.bound([id], [id, []]);

/** All conversations, the latest first. @returns {Promise<Told[]>} */
export async function list() {
  /** @type {Told[]} */
  const all = await within("readonly", ({ conversations }) => done(conversations.getAll()));
  return all.sort((one, other) => other.changed - one.changed);
}

/**
 * A conversation with its turns, null if there is none of that id.
 * @param {string} id
 * @returns {Promise<{told: Told, turns: Map<string, Turn>} | null>}
 */
export function load(id) {
  return within("readonly", async ({ conversations, turns }) => {
    const [told, kept] = await Promise.all([done(conversations.get(id)), done(turns.getAll(turnsOf(id)))]);
    return told ? { told, turns: new Map(kept.map(({ key, turn }) => [key, turn])) } : null;
  });
}

/**
 * Keep a conversation and those of its turns that changed. Where another tab wrote it meanwhile, this one becomes a conversation of its
 * own with all its turns, so that neither overwrites the other.
 * @param {Conversation} conversation
 * @param {Turn[]} changed
 * @returns {Promise<"kept" | "copied">}
 */
export async function save(conversation, changed) {
  const { id, revision, copied } = await within("readwrite", async ({ conversations, turns }) => {
    const there = await done(conversations.get(conversation.id));
    const copied = (there?.revision ?? 0) !== conversation.revision;
    const id = copied ? newId() : conversation.id;
    const revision = copied ? 1 : conversation.revision + 1;
    conversations.put({ ...conversation.told(), id, revision });
    for (const turn of copied ? conversation.allTurns() : changed) turns.put({ conversation: id, key: turn.key, turn });
    return { id, revision, copied };
  });
  Object.assign(conversation, { id, revision });
  return copied ? "copied" : "kept";
}

/**
 * @param {string} id
 * @param {string} title
 */
export const rename = (id, title) =>
  within("readwrite", async ({ conversations }) => {
    const told = await done(conversations.get(id));
    if (told) conversations.put({ ...told, title });
  });

/** @param {string} id */
export const remove = (id) =>
  within("readwrite", async ({ conversations, turns }) => {
    conversations.delete(id);
    turns.delete(turnsOf(id));
  });
