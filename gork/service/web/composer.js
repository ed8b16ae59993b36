// The box at the bottom: writing a question, sending it, stopping its turn.

import { byId, setAttribute, setIcon, setText, show, TOUCH } from "./elements.js";
import { keep, kept } from "./keeping.js";

const DRAFT = "gork.draft";
const OPTIMIZE = "gork.optimize";

export class Composer {
  /**
   * @param {{send: (text: string) => void, stop: () => void, cancelEdit: () => void, earlier: () => string[], rewrite: (on: boolean) => void}} actions
   *   `earlier` gives the questions asked before, oldest first; `rewrite` is told when rewriting is switched on or off
   */
  constructor(actions) {
    this.actions = actions;
    this.form = byId("composer");
    this.box = byId("box");
    this.send = byId("send");
    this.optimize = byId("optimize");
    this.running = false;
    this.editing = false;
    /** How far back the arrow went; 0 for not at all. */
    this.back = 0;
    // There Enter is the only way to a new line, since there is no Shift to hold with it: the button sends.
    if (TOUCH.matches) setAttribute(this.box, "enterkeyhint", "enter");
    this.listen();
    this.remember();
  }

  get text() {
    return this.box.value;
  }

  listen() {
    this.form.addEventListener("submit", (/** @type {Event} */ event) => {
      event.preventDefault();
      if (this.running) this.actions.stop();
      else this.submit();
    });
    this.box.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => this.key(event));
    this.box.addEventListener("input", () => {
      this.back = 0;
      this.fit();
      keep("session", DRAFT, this.text);
    });
    this.optimize.addEventListener("change", () => {
      keep("local", OPTIMIZE, this.optimize.checked ? "yes" : "no");
      this.actions.rewrite(this.optimize.checked);
    });
    byId("editing-cancel").addEventListener("click", () => this.actions.cancelEdit());
  }

  remember() {
    this.box.value = kept("session", DRAFT) ?? "";
    this.setRewrite(null);
    this.fit();
  }

  /** @param {boolean | null} on whether prompts are rewritten; null for as it was last */
  setRewrite(on) {
    this.optimize.checked = on ?? kept("local", OPTIMIZE) !== "no";
  }

  submit() {
    const text = this.text.trim();
    if (text) this.actions.send(text);
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    // While a word is being composed (Japanese, Chinese, accents), Enter belongs to it; Safari tells so by the code 229.
    if (event.isComposing || event.keyCode === 229) return;
    const plain = !event.shiftKey && !event.altKey && !event.ctrlKey && !event.metaKey;
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey || (plain && !TOUCH.matches))) {
      event.preventDefault();
      this.submit();
    } else if (event.key === "ArrowUp" && (this.text === "" || this.back)) this.recall(this.back + 1, event);
    else if (event.key === "ArrowDown" && this.back) this.recall(this.back - 1, event);
  }

  /**
   * @param {number} back
   * @param {KeyboardEvent} event
   */
  recall(back, event) {
    const earlier = this.actions.earlier();
    if (back > earlier.length) return;
    event.preventDefault();
    this.fill(back ? earlier[earlier.length - back] : "");
    this.back = back;
  }

  /** @param {string} text */
  fill(text) {
    this.box.value = text;
    this.back = 0;
    this.fit();
    this.box.setSelectionRange(text.length, text.length);
    keep("session", DRAFT, text);
  }

  /** @param {string} text which is put below what is there, and the user goes on below it */
  add(text) {
    this.fill(`${this.text ? `${this.text.trimEnd()}\n\n` : ""}${text}\n\n`);
    this.box.scrollTop = this.box.scrollHeight;
    this.focus();
  }

  /** As high as the text needs, up to what the style allows. */
  fit() {
    if (CSS.supports("field-sizing", "content")) return;
    this.box.style.height = "auto";
    this.box.style.height = `${this.box.scrollHeight}px`;
  }

  focus() {
    this.box.focus({ preventScroll: true });
  }

  /** @param {boolean} running */
  setRunning(running) {
    if (this.running === running) return;
    this.running = running;
    setIcon(this.send, running ? "stop" : "send");
    setText(this.send.querySelector("span"), running ? "Stop" : this.editing ? "Send again" : "Send");
    setAttribute(this.send, "class", running ? "primary stop" : "primary");
  }

  /** @param {string} note what sending will do; "" for not editing */
  setEditing(note) {
    this.editing = note !== "";
    show(byId("editing"), this.editing);
    setText(byId("editing-text"), note);
    if (!this.running) setText(this.send.querySelector("span"), this.editing ? "Send again" : "Send");
  }
}
