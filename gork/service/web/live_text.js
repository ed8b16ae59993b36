// Markdown that is still being written: blocks that are over stay as they are, only the last one is made anew, and not for every token.

import { blocks, elementsOf, verbatim } from "./markdown.js";
import { colour } from "./highlighting.js";
import { addCopyButtons } from "./copying.js";
import { typesetFormulas } from "./formulas.js";
import { follow } from "./following.js";

/** Making the last block anew may take this share of the time. */
const SHARE = 0.1;
const SHORTEST_PAUSE = 60;

export class LiveText {
  /** @param {HTMLElement} home */
  constructor(home) {
    this.home = home;
    this.text = "";
    /** Characters of the text whose blocks are over. */
    this.settled = 0;
    /** @type {ChildNode[]} */
    this.open = [];
    this.complete = false;
    /** Whether the text was what a program printed. */
    this.printed = false;
    this.pause = 0;
    this.drawn = 0;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.later = undefined;
    this.wanted = "";
  }

  /**
   * Show a text, at once if it is complete, else when there is time.
   * @param {string} text
   * @param {boolean} complete
   */
  show(text, complete) {
    const plain = text.replace(/\r\n?/g, "\n");
    if (complete) {
      if (!this.complete || plain !== this.text) this.finish(plain);
      return;
    }
    this.complete = false;
    this.wanted = plain;
    if (plain === this.text || this.later !== undefined) return;
    const wait = this.drawn + this.pause - performance.now();
    if (wait <= 0) this.draw();
    else
      this.later = setTimeout(() => {
        this.later = undefined;
        this.draw();
        follow();
      }, wait);
  }

  draw() {
    if (this.complete) return;
    const begun = performance.now();
    const text = this.wanted;
    if (!text.startsWith(this.text)) this.clear();
    this.text = text;
    try {
      this.grow(text);
    } catch (error) {
      this.unparsed(text, error);
    }
    this.drawn = performance.now();
    this.pause = Math.max(SHORTEST_PAUSE, (this.drawn - begun) / SHARE);
  }

  /** @param {string} text */
  grow(text) {
    const tokens = blocks(text.slice(this.settled));
    let last = tokens.length - 1;
    while (last > 0 && tokens[last].type === "space") last -= 1;
    for (const node of this.open) node.remove();
    if (last > 0) {
      const over = tokens.slice(0, last);
      this.home.append(elementsOf(over));
      this.settled += over.reduce((sum, token) => sum + token.raw.length, 0);
    }
    const fragment = elementsOf(tokens.slice(Math.max(last, 0)));
    this.open = [...fragment.childNodes];
    this.home.append(fragment);
  }

  /**
   * Show what a program printed: never as Markdown, several lines as they stand.
   * @param {string} text
   */
  showPrinted(text) {
    if (this.complete && this.printed && text === this.text) return;
    this.end(text);
    this.printed = true;
    if (text.includes("\n")) {
      this.home.append(verbatim(text, "text"));
      addCopyButtons(this.home);
    } else this.plain(text);
    this.text = text;
  }

  /** @param {string} text the whole of it */
  finish(text) {
    this.end(text);
    try {
      this.home.append(elementsOf(blocks(text)));
      addCopyButtons(this.home);
      void colour(this.home);
      void typesetFormulas(this.home);
    } catch (error) {
      this.unparsed(text, error);
      this.text = text;
    }
  }

  /** @param {string} text after which nothing else comes */
  end(text) {
    clearTimeout(this.later);
    this.later = undefined;
    this.clear();
    this.text = this.wanted = text;
    this.complete = true;
    this.printed = false;
  }

  /**
   * Show what cannot be parsed (nested thousands deep, say) as it is.
   * @param {string} text
   * @param {unknown} error
   */
  unparsed(text, error) {
    console.warn("shown as plain text:", error);
    this.plain(text);
  }

  /** @param {string} text */
  plain(text) {
    const pre = document.createElement("div");
    pre.className = "plain";
    pre.dir = "auto";
    pre.textContent = text;
    this.home.replaceChildren(pre);
    this.open = [];
    this.settled = 0;
    this.text = "";
  }

  clear() {
    this.home.replaceChildren();
    this.open = [];
    this.settled = 0;
    this.text = "";
  }
}
