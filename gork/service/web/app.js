// The page: its conversation, its turns, and what the user can do with them.

import { byId, setText, show } from "./elements.js";
import { follow } from "./asking.js";
import { progress, say, signal } from "./announcing.js";
import { Composer } from "./composer.js";
import { Conversation, shownOf } from "./conversation.js";
import { Conversations } from "./conversations.js";
import { asJson, asMarkdown, save } from "./exporting.js";
import { takeFiles } from "./dropping.js";
import * as following from "./following.js";
import { fromJson } from "./importing.js";
import { keep, kept } from "./keeping.js";
import { Roster } from "./roster.js";
import { ServiceError, isAboutToken, tell, useToken } from "./service.js";
import * as theme from "./theme.js";
import { answerOf, isAnswered, newTurn, resume, use, winnerOf } from "./turn.js";
import { showsAll, TurnView } from "./turn_view.js";
import { SettingsDialog, asRequest } from "./settings.js";
import { spoken } from "./verdict.js";
import { Votes } from "./votes.js";
import { duration, nameOf } from "./wording.js";

/** @typedef {import("./conversation.js").Entry} Entry */
const SAVE_EVERY = 1000;
/** The conversation of this tab, and what of it was not kept when the page was left. */
const HERE = "gork.here";
const LEFT = "gork.left";
const CLOCK = 200;
/** Milliseconds that the browser has to bring back what it kept. */
const PATIENCE = 3000;

class Page {
  constructor() {
    this.conversation = new Conversation();
    this.votes = new Votes();
    this.roster = new Roster((error) => {
      if (!(error instanceof ServiceError) || !isAboutToken(error.kind)) return false;
      this.askToken(error.kind);
      return true;
    });
    /** @type {Map<Entry, TurnView>} */
    this.views = new Map();
    /** @type {{entry: Entry, conversation: Conversation, abort: AbortController, hurried: string} | null} what is running; `hurried`: the stage that the user wanted an end of */
    this.running = null;
    /** @type {Entry | null} */
    this.edited = null;
    /** @type {Conversation | null} the one before this one, for Undo */
    this.before = null;
    /** @type {Promise<unknown>} what this tab had is back; nothing is asked before */
    this.ready = Promise.resolve();
    this.frame = 0;
    this.saved = 0;
    this.settings = new SettingsDialog(
      () => this.conversation.settings,
      (settings) => {
        const shown = this.conversation.settings.all;
        this.conversation.settings = settings;
        this.composer.setRewrite(settings.optimize);
        this.save();
        if (settings.all !== shown) this.showAll(settings.all);
      },
      { candidates: () => this.roster.candidates, all: () => showsAll(this.conversation.settings.all) },
    );
    this.composer = new Composer({
      send: (text) => void this.ready.then(() => this.send(text)),
      stop: () => this.stop(),
      cancelEdit: () => this.edit(null),
      rewrite: (on) => {
        this.conversation.settings.optimize = on;
        this.save();
      },
      earlier: () => this.conversation.entries.map((entry) => shownOf(entry).question),
    });
  }

  start() {
    theme.start(byId("theme"));
    following.watch();
    this.listen();
    takeFiles((text) => this.composer.add(text), say);
    new Conversations({
      open: (id) => void this.openKept(id),
      removed: (id) => id === this.conversation.id && this.goTo(new Conversation()),
      renamed: (id, title) => id === this.conversation.id && (this.conversation.title = title),
      take: (text) => this.import(text),
    });
    this.takeLink();
    const late = new Promise((resolve) => setTimeout(resolve, PATIENCE));
    this.ready = Promise.race([this.bringBack(), late]);
    this.meet();
    setInterval(() => this.running && this.changed(), CLOCK);
    if (matchMedia("(pointer: fine)").matches) this.composer.focus();
  }

  /** Bring back the conversation that this tab had. */
  async bringBack() {
    history.scrollRestoration = "manual";
    this.draw();
    const id = kept("session", HERE);
    if (!id) return;
    try {
      const left = JSON.parse(kept("session", LEFT) ?? "null");
      const conversation = await Conversation.load(id, left);
      if (!conversation || this.conversation.entries.length) return;
      this.goTo(conversation);
      if (conversation.entries.length) following.goToEnd();
      this.goOn();
      for (const turn of left?.turns ?? []) conversation.changed.add(turn);
      if (left) this.save();
    } catch (error) {
      console.error("what was kept cannot be shown:", error);
      this.goTo(new Conversation());
    }
  }

  /** @param {string} id of a conversation that is kept */
  async openKept(id) {
    this.leave();
    try {
      await this.conversation.saving.catch(() => {});
      const conversation = await Conversation.load(id);
      if (conversation) this.goTo(conversation);
      this.goOn();
    } catch (error) {
      console.error("what was kept cannot be shown:", error);
      this.goTo(new Conversation());
      say("This conversation cannot be shown.");
    }
  }

  /** @param {string} text of a file */
  import(text) {
    try {
      const conversation = fromJson(text);
      this.leave();
      this.goTo(conversation);
      this.save();
      say("The conversation is imported.");
    } catch (error) {
      console.info("not imported:", error);
      say("This file is no conversation that was exported from this page as JSON.");
    }
  }

  /** Stop what runs, and give up what is being edited. */
  leave() {
    this.stop();
    this.edit(null);
    show(byId("undo"), false);
  }

  /** @param {Conversation} conversation to be on the page from now on */
  goTo(conversation) {
    this.conversation = conversation;
    keep("session", HERE, conversation.id);
    for (const view of this.views.values()) view.leave();
    this.views.clear();
    this.settings.mark();
    this.composer.setRewrite(conversation.settings.optimize);
    show(byId("to-verdict"), false);
    this.draw();
  }

  /** @param {boolean | null} all whether all answers of the conversation are shown, or the chosen ones alone */
  showAll(all) {
    for (const view of this.views.values()) view.open = showsAll(all);
    this.draw();
  }

  listen() {
    addEventListener("keydown", (event) => this.key(event));
    addEventListener("pagehide", () => this.atEnd());
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
      this.draw();
    } catch (error) {
      const token = error instanceof ServiceError && isAboutToken(error.kind);
      setText(byId("models-summary"), token ? "Token needed" : "Models unknown");
      if (token) this.askToken(error.kind);
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
      if (!last || !isAboutToken(shownOf(last).status) || !this.roster.models.size) return;
      if (shownOf(last).token) this.goOn();
      else this.again(last, {});
    });
  }

  /** @param {string} text */
  send(text) {
    if (this.running) return say("The models are still answering. Your next question waits in the box.");
    const { edited } = this;
    this.edit(null);
    this.composer.fill("");
    if (!this.conversation.settings.all) for (const view of this.views.values()) view.open = false;
    const turn = newTurn(text, this.composer.optimize.checked);
    if (edited) this.conversation.addVersion(edited, turn);
    void this.run(edited ?? this.conversation.add(turn));
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
  run(entry) {
    const turn = shownOf(entry);
    const request = {
      question: turn.question,
      history: this.conversation.historyBefore(entry),
      program: this.conversation.programBefore(entry),
      optimize: turn.optimize,
      ...asRequest(entry.versions.length > 1 ? { ...this.conversation.settings, seed: null } : this.conversation.settings, this.roster.candidates),
    };
    return this.attend(entry, request, "Sent.");
  }

  /** Go on with the last turn, if it was running when this page or another one was left. */
  goOn() {
    const entry = this.conversation.entries.at(-1);
    if (this.running || !entry || !shownOf(entry).token) return;
    resume(shownOf(entry));
    void this.attend(entry, null, "Going on with the turn that was running.");
  }

  /**
   * @param {Entry} entry whose last version runs from now on
   * @param {object | null} request null if the service has it already
   * @param {string} line to be said
   */
  async attend(entry, request, line) {
    const turn = shownOf(entry);
    const abort = new AbortController();
    const { conversation } = this;
    this.running = { entry, conversation, abort, hurried: "" };
    show(byId("undo"), false);
    show(byId("to-verdict"), false);
    say(line);
    this.draw();
    following.goToEnd();
    this.save(turn);
    await follow(turn, request, abort.signal, (kind) => {
      const news = kind === "token" ? "" : kind === "lost" ? "The connection was lost. Trying to go on …" : progress(turn);
      if (news) say(news);
      this.changed();
    });
    this.running = null;
    this.save(turn, conversation);
    this.over(entry);
  }

  /** @param {Entry} entry whose turn has ended */
  over(entry) {
    const turn = shownOf(entry);
    const wasFollowing = following.isFollowing();
    this.draw();
    if (!this.views.has(entry)) return; // it was cleared away meanwhile
    const view = /** @type {TurnView} */ (this.views.get(entry));
    signal();
    const goes = Boolean(turn.result) && wasFollowing && !view.touched;
    const away = !following.isNear(view.root) && !(wasFollowing && !view.touched);
    const [line, aloud] = turn.result ? [spoken(turn), answerOf(turn) ?? ""] : [turn.status === "stopped" ? "Stopped." : "No answer.", turn.trouble];
    if (away) say(line, aloud);
    else say("", `${line} ${aloud}`); // whoever looks at the turn reads there how it ended
    if (isAboutToken(turn.status)) this.askToken(turn.status);
    if (goes) following.goTo(view.root);
    setText(byId("to-verdict"), turn.result ? "See the answer" : "See the turn");
    show(byId("to-verdict"), away);
  }

  stop() {
    this.running?.abort.abort();
  }

  /** Have the turn end with what is written; the rest is not waited for. */
  answerNow() {
    if (!this.running) return;
    const { id, token, last, stage } = shownOf(this.running.entry);
    this.running.hurried = stage;
    this.composer.focus();
    this.draw();
    tell({ id, token, last }, "answer-now").catch((error) => say(error.message));
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
    this.save(turn);
    this.draw();
    const view = this.views.get(entry);
    if (view) following.goTo(view.root);
    say("", `This is the answer now: ${nameOf(member)}.`);
    this.composer.focus();
  }

  toVerdict() {
    const last = this.conversation.entries.at(-1);
    const view = last && this.views.get(last);
    if (view) following.goTo(view.root);
    show(byId("to-verdict"), false);
    say("");
  }

  /** @param {Entry | null} entry whose question goes back into the box; null for none */
  edit(entry) {
    if (this.edited && !entry) this.composer.fill("");
    this.edited = entry;
    if (!entry) return this.composer.setEditing("");
    const after = this.conversation.entries.length - this.conversation.entries.indexOf(entry) - 1;
    this.composer.setEditing(`Sending makes another version of this question; ${after ? `this one stays, with the ${after} after it` : "this one stays"}.`);
    this.composer.fill(shownOf(entry).question);
    this.composer.focus();
  }

  clear() {
    this.leave();
    this.before = this.conversation.entries.length ? this.conversation : null;
    this.goTo(new Conversation());
    show(byId("undo"), this.before !== null);
    say(this.before ? "A new conversation. The one before is among your conversations." : "");
    this.composer.focus();
  }

  undo() {
    this.leave();
    if (this.before) this.goTo(this.before);
    this.before = null;
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

  /**
   * Have the browser keep the conversation.
   * @param {import("./turn.js").Turn} [turn] which changed
   * @param {Conversation} [conversation]
   */
  save(turn, conversation = this.conversation) {
    this.saved = Date.now();
    if (conversation === this.conversation) keep("session", HERE, conversation.id);
    conversation.save(turn).then(
      (how) => {
        if (how === "nothing") return;
        show(byId("unkept"), false);
        if (how !== "copied") return;
        if (conversation === this.conversation) keep("session", HERE, conversation.id);
        say("This conversation went on in another tab; what is here is kept as a conversation of its own.");
      },
      (error) => {
        console.info("not kept:", error);
        const full = error?.name === "QuotaExceededError";
        setText(byId("unkept"), full ? "The browser has no room for this conversation: delete others, or export it." : "This browser keeps nothing: the conversation lasts as long as this page.");
        show(byId("unkept"), true);
      },
    );
  }

  /** The page is being left: what changed last is put where that is done at once, since the database may not have the time. */
  atEnd() {
    const { conversation, running } = this;
    if (running) running.conversation.changed.add(shownOf(running.entry));
    keep("session", LEFT, JSON.stringify(conversation.unkept()));
    if (running) this.save(undefined, running.conversation);
  }

  /** Draw the turn that runs soon: once for everything that changes before the next frame. */
  changed() {
    if (this.running && Date.now() - this.saved > SAVE_EVERY) this.save(shownOf(this.running.entry), this.running.conversation);
    this.frame ||= requestAnimationFrame(() => this.draw(this.running?.entry));
  }

  /** @param {Entry} [only] all else is as it was */
  draw(only) {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    const { entries } = this.conversation;
    const now = Date.now();
    show(byId("welcome"), entries.length === 0);
    document.body.classList.toggle("empty", entries.length === 0);
    for (const [entry, view] of this.views) {
      if (entries.includes(entry)) continue;
      view.leave();
      this.views.delete(entry);
    }
    for (const entry of only && this.views.has(only) ? [only] : entries) {
      const view = this.viewOf(entry);
      view.update({ now, last: entry === entries.at(-1), busy: this.running !== null });
    }
    this.composer.setRunning(this.running !== null);
    const turn = this.running && shownOf(this.running.entry);
    show(byId("answer-now"), turn !== null && Boolean(turn.token) && isAnswered(turn) && this.running?.hurried !== turn.stage);
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
            this.conversation.show(shown, Math.min(Math.max(shown.shown + by, 0), shown.versions.length - 1));
            this.save();
            this.draw();
            following.goTo(this.viewOf(shown).root); // what follows is another conversation now: its end is not what was asked for
          },
          vote: (turn, choice) => {
            this.votes.cast(turn.id, choice, judgesChoice(turn));
            say(this.votes.of(turn.id) ? `Your vote: ${choice}. ${this.votes.agreement()}` : "Your vote is taken back.");
            this.draw();
          },
          use: (used, member) => this.use(used, member),
          changed: (turn) => this.save(turn),
          redraw: () => this.draw(),
        },
        { votes: this.votes, roster: this.roster, all: () => showsAll(this.conversation.settings.all) },
      );
      byId("thread").append(view.root);
      this.views.set(entry, view);
      if (entry !== this.conversation.entries.at(-1) && !this.conversation.settings.all) view.open = false;
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
