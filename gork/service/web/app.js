// The page: its conversation, its turns, and what the user can do with them.

import { byId, setText, show } from "./elements.js";
import { ask } from "./asking.js";
import { progress, say } from "./announcing.js";
import { Composer } from "./composer.js";
import { Conversation, shownOf } from "./conversation.js";
import { asJson, asMarkdown, save } from "./exporting.js";
import { takeFiles } from "./dropping.js";
import * as following from "./following.js";
import { Roster } from "./roster.js";
import { ServiceError, isAboutToken, useToken } from "./service.js";
import * as theme from "./theme.js";
import { answerOf, bestFinished, endEarly, isRunning, newTurn, use, winnerOf } from "./turn.js";
import { TurnView } from "./turn_view.js";
import { SettingsDialog, asRequest } from "./settings.js";
import { spoken } from "./verdict.js";
import { Votes } from "./votes.js";
import { duration, nameOf } from "./wording.js";

/** @typedef {import("./conversation.js").Entry} Entry */
const SAVE_EVERY = 1000;
const CLOCK = 200;

class Page {
  constructor() {
    this.conversation = new Conversation();
    this.votes = new Votes();
    this.roster = new Roster();
    /** @type {Map<Entry, TurnView>} */
    this.views = new Map();
    /** @type {{entry: Entry, abort: AbortController} | null} what is running */
    this.running = null;
    /** @type {Entry | null} */
    this.edited = null;
    /** @type {Entry[]} */
    this.forgotten = [];
    /** @type {string | null} whose draft is taken when the running turn has been stopped */
    this.takeWhenOver = null;
    this.frame = 0;
    this.saved = 0;
    this.composer = new Composer({
      send: (text) => this.send(text),
      stop: () => this.stop(),
      cancelEdit: () => this.edit(null),
      earlier: () => this.conversation.entries.map((entry) => shownOf(entry).question),
    });
  }

  start() {
    theme.start(byId("theme"));
    following.watch();
    this.listen();
    this.bringBack();
    this.settings = new SettingsDialog(
      () => this.conversation.settings,
      (settings) => {
        this.conversation.settings = settings;
        this.save();
      },
    );
    takeFiles((text) => this.composer.add(text), say);
    this.takeLink();
    this.meet();
    setInterval(() => this.running && this.changed(), CLOCK);
    if (matchMedia("(pointer: fine)").matches) this.composer.focus();
  }

  bringBack() {
    history.scrollRestoration = "manual";
    this.conversation.restore();
    try {
      this.draw();
    } catch (error) {
      console.error("what was kept cannot be shown:", error);
      this.conversation.entries = [];
      byId("thread").replaceChildren();
      this.draw();
    }
    this.save();
    if (this.conversation.entries.length) following.goToEnd();
  }

  listen() {
    addEventListener("keydown", (event) => this.key(event));
    addEventListener("pagehide", () => this.save());
    byId("new").addEventListener("click", () => this.clear());
    byId("answer-now").addEventListener("click", () => this.answerNow());
    byId("undo").addEventListener("click", () => this.undo());
    byId("keys-button").addEventListener("click", () => byId("keys").showModal());
    byId("to-verdict").addEventListener("click", () => this.toVerdict());
    const name = () => `gork-${new Date().toISOString().slice(0, 10)}`;
    byId("export-markdown").addEventListener("click", () => this.export(asMarkdown, `${name()}.md`, "text/markdown"));
    byId("export-json").addEventListener("click", () => this.export(asJson, `${name()}.json`, "application/json"));
    for (const example of document.querySelectorAll(".example")) {
      example.addEventListener("click", () => {
        this.composer.fill(example.textContent ?? "");
        this.composer.focus();
      });
    }
    byId("token-cancel").addEventListener("click", () => byId("token").close(""));
    byId("token-form").addEventListener("submit", () => this.takeToken());
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const inDialog = document.querySelector("dialog[open], [popover]:popover-open");
    if (inDialog || event.isComposing) return;
    if (event.key === "Escape" && this.running) this.stop();
    else if (event.key === "Escape" && this.edited) this.edit(null);
    else if (event.key === "?" && !(/** @type {Element} */ (event.target).closest?.("textarea, input"))) byId("keys").showModal();
  }

  /** A question in the page's own address is put into the box; sending it is left to the user. */
  takeLink() {
    const address = new URL(location.href);
    const question = address.searchParams.get("q");
    if (question === null) return;
    address.searchParams.delete("q");
    history.replaceState(null, "", address);
    this.composer.fill(question);
  }

  /** Find out who answers. */
  async meet() {
    try {
      await this.roster.load();
      this.changed();
    } catch (error) {
      setText(byId("models-summary"), "Models unknown");
      if (error instanceof ServiceError && isAboutToken(error.kind)) this.askToken(error.kind);
      else say(error instanceof Error ? error.message : String(error));
    }
  }

  /** @param {string} kind of the error that asks for it */
  askToken(kind) {
    setText(byId("token-title"), kind === "wrong_token" ? "The service does not accept this token" : "This service asks for a token");
    if (!byId("token").open) byId("token").showModal();
  }

  takeToken() {
    useToken(byId("token-box").value);
    byId("token-box").value = "";
    void this.meet().then(() => {
      const last = this.conversation.entries.at(-1);
      if (last && isAboutToken(shownOf(last).status) && this.roster.models.size) this.again(last, {});
    });
  }

  /** @param {string} text */
  send(text) {
    if (this.running) return;
    if (this.edited) this.forget(this.edited);
    this.edit(null);
    this.composer.fill("");
    for (const view of this.views.values()) view.open = false;
    const entry = this.conversation.add(newTurn(text, this.composer.optimize.checked));
    void this.run(entry);
  }

  /**
   * Ask an entry's question once more, with a seed of its own.
   * @param {Entry} entry
   * @param {{optimize?: boolean}} how
   */
  again(entry, { optimize }) {
    if (this.running) return;
    const before = shownOf(entry);
    this.conversation.addVersion(entry, newTurn(before.question, optimize ?? (before.result ? this.composer.optimize.checked : before.optimize)));
    void this.run(entry);
    this.composer.focus();
  }

  /** @param {Entry} entry whose last version is to be asked */
  async run(entry) {
    const turn = shownOf(entry);
    const abort = new AbortController();
    this.running = { entry, abort };
    show(byId("undo"), false);
    show(byId("to-verdict"), false);
    say("Sent.");
    this.draw();
    following.goToEnd();
    this.save();
    const request = {
      question: turn.question,
      history: this.conversation.historyBefore(entry),
      program: this.conversation.programBefore(entry),
      optimize: turn.optimize,
      ...asRequest(entry.versions.length > 1 ? { ...this.conversation.settings, seed: null } : this.conversation.settings),
    };
    await ask(turn, request, abort.signal, (kind) => {
      const line = kind === "token" ? "" : progress(turn);
      if (line) say(line);
      this.changed();
    });
    this.running = null;
    const taken = this.takeWhenOver;
    this.takeWhenOver = null;
    this.over(entry);
    if (taken && !turn.result) this.use(entry, taken);
  }

  /** @param {Entry} entry whose turn has ended */
  over(entry) {
    const turn = shownOf(entry);
    const wasFollowing = following.isFollowing();
    this.draw();
    this.save();
    if (!this.views.has(entry)) return; // it was cleared away meanwhile
    const view = /** @type {TurnView} */ (this.views.get(entry));
    if (turn.result) say(spoken(turn), answerOf(turn) ?? "");
    else say(turn.trouble.split("\n", 1)[0]);
    if (isAboutToken(turn.status)) this.askToken(turn.status);
    if (turn.result && wasFollowing && !view.touched) following.goTo(view.root);
    setText(byId("to-verdict"), turn.result ? "See the answer" : "See the turn");
    show(byId("to-verdict"), !following.isNear(view.root) && !(wasFollowing && !view.touched));
  }

  stop() {
    this.running?.abort.abort();
  }

  /** Stop, and take the best of the drafts that are finished. */
  answerNow() {
    if (!this.running) return;
    const { entry } = this.running;
    this.takeWhenOver = bestFinished(shownOf(entry), this.roster.prior);
    this.stop();
  }

  /**
   * Make a member's answer the one of its turn: shown, copied, exported, and what the next question goes on from.
   * @param {Entry} entry
   * @param {string} member
   */
  use(entry, member) {
    const turn = shownOf(entry);
    use(turn, member);
    if (turn.result && this.votes.of(turn.id) !== member) this.votes.cast(turn.id, member, judgesChoice(turn));
    this.save();
    this.draw();
    const view = this.views.get(entry);
    if (view) following.goTo(view.root);
    say(`This is the answer now: ${nameOf(member)}.`);
    this.composer.focus();
  }

  toVerdict() {
    const last = this.conversation.entries.at(-1);
    const view = last && this.views.get(last);
    if (view) following.goTo(view.root);
  }

  /** @param {Entry | null} entry whose question goes back into the box; null for none */
  edit(entry) {
    if (this.edited && !entry) this.composer.fill("");
    this.edited = entry;
    if (!entry) return this.composer.setEditing("");
    const after = this.conversation.entries.length - this.conversation.entries.indexOf(entry) - 1;
    this.composer.setEditing(after ? `Sending replaces this question and the ${after} after it.` : "Sending replaces this question.");
    this.composer.fill(shownOf(entry).question);
    this.composer.focus();
  }

  /** @param {Entry} entry which is taken out of the conversation, with all after it */
  forget(entry) {
    const forgotten = this.conversation.cutFrom(entry);
    for (const each of forgotten) {
      this.views.get(each)?.leave();
      this.views.delete(each);
    }
    return forgotten;
  }

  clear() {
    this.stop();
    this.edit(null);
    const [first] = this.conversation.entries;
    this.forgotten = first ? this.forget(first) : [];
    this.save();
    this.draw();
    show(byId("to-verdict"), false);
    show(byId("undo"), this.forgotten.length > 0);
    say(this.forgotten.length ? "A new conversation." : "");
    this.composer.focus();
  }

  undo() {
    for (const entry of this.forgotten) for (const turn of entry.versions) if (isRunning(turn)) endEarly(turn, "stopped", "You stopped this turn.");
    this.conversation.entries = [...this.forgotten, ...this.conversation.entries];
    this.forgotten = [];
    show(byId("undo"), false);
    for (const view of this.views.values()) view.leave();
    this.views.clear();
    this.save();
    this.draw();
    say("The conversation is back.");
    this.composer.focus();
  }

  /**
   * @param {(conversation: Conversation, votes: Votes) => string} make
   * @param {string} name
   * @param {string} type
   */
  export(make, name, type) {
    byId("export").hidePopover();
    if (this.conversation.entries.length) save(make(this.conversation, this.votes), name, type);
    else say("There is nothing to export yet.");
  }

  save() {
    this.saved = Date.now();
    if (!this.conversation.save()) say("This tab has no room to keep the whole conversation.");
  }

  /** Draw soon: once for everything that changes before the next frame. */
  changed() {
    if (this.running && Date.now() - this.saved > SAVE_EVERY) this.save();
    this.frame ||= requestAnimationFrame(() => this.draw());
  }

  draw() {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    const { entries } = this.conversation;
    const now = Date.now();
    show(byId("welcome"), entries.length === 0);
    document.body.classList.toggle("empty", entries.length === 0);
    for (const entry of entries) {
      const view = this.viewOf(entry);
      view.update({ now, last: entry === entries.at(-1), busy: this.running !== null });
    }
    this.composer.setRunning(this.running !== null);
    const turn = this.running && shownOf(this.running.entry);
    show(byId("answer-now"), turn !== null && bestFinished(turn, this.roster.prior) !== null && !this.takeWhenOver);
    setText(byId("clock"), turn ? duration((now - turn.at) / 1000) : "");
    if (entries.length) following.follow();
  }

  /** @param {Entry} entry @returns {TurnView} */
  viewOf(entry) {
    let view = this.views.get(entry);
    if (!view) {
      view = new TurnView(
        entry,
        {
          edit: (edited) => this.edit(edited),
          again: (asked, how) => this.again(asked, how),
          version: (shown, by) => {
            shown.shown = Math.min(Math.max(shown.shown + by, 0), shown.versions.length - 1);
            this.save();
            this.draw();
          },
          vote: (turn, choice) => {
            this.votes.cast(turn.id, choice, judgesChoice(turn));
            say(this.votes.of(turn.id) ? `Your vote: ${choice}. ${this.votes.agreement()}` : "Your vote is taken back.");
            this.draw();
          },
          use: (used, member) => this.use(used, member),
          changed: () => this.save(),
          redraw: () => this.draw(),
        },
        { votes: this.votes, roster: this.roster },
      );
      byId("thread").append(view.root);
      this.views.set(entry, view);
      if (entry !== this.conversation.entries.at(-1)) view.open = false;
    }
    return view;
  }
}

/**
 * Whom the judge chose, null where it did not decide.
 * @param {import("./turn.js").Turn} turn
 */
const judgesChoice = (turn) => (turn.verdict?.fallback || turn.verdict?.note ? null : winnerOf(turn));

new Page().start();
