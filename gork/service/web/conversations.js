// The list of conversations: search, open, rename, delete, import.

import { byId, element, setText, show, TOUCH } from "./elements.js";
import * as storing from "./storing.js";

/** Bytes of a file that is taken for an export of this page. */
const LARGEST = 64 * 2 ** 20;

export class Conversations {
  /**
   * @param {{open: (id: string) => void, removed: (id: string) => void, renamed: (id: string, title: string) => void, take: (text: string) => void}} actions
   */
  constructor(actions) {
    this.actions = actions;
    /** @type {import("./storing.js").Told[]} */
    this.all = [];
    byId("conversations-button").addEventListener("click", () => {
      byId("search").value = "";
      byId("conversations").showModal();
      if (!TOUCH.matches) byId("search").focus();
      void this.load();
    });
    byId("search").addEventListener("input", () => this.draw());
    byId("import").addEventListener("click", () => byId("import-file").click());
    byId("import-file").addEventListener("change", () => void this.take());
  }

  async load() {
    try {
      this.all = (await storing.list()).filter(({ entries }) => entries.length); // settings alone are none
      show(byId("conversations-trouble"), false);
    } catch {
      show(byId("conversations-trouble"), true);
    }
    this.draw();
  }

  async take() {
    const [file] = byId("import-file").files;
    byId("import-file").value = "";
    if (!file) return;
    byId("conversations").close();
    this.actions.take(file.size > LARGEST ? "" : await file.text());
  }

  draw() {
    const wanted = byId("search").value.trim().toLowerCase();
    const found = this.all.filter(({ title, words }) => `${title}\n${words}`.toLowerCase().includes(wanted));
    byId("conversations-list").replaceChildren(...found.map((told) => this.row(told)));
    setText(byId("conversations-none"), wanted ? "Nothing found." : "No conversations yet.");
    show(byId("conversations-none"), found.length === 0 && byId("conversations-trouble").hidden);
  }

  /** @param {import("./storing.js").Told} told */
  row(told) {
    const row = element("li", "conversation");
    row.dataset.id = told.id;
    const open = element("button", "conversation-open");
    open.append(element("span", "conversation-title", told.title || "(no question)"), element("small", "muted", new Date(told.changed).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" })));
    open.addEventListener("click", () => {
      byId("conversations").close();
      this.actions.open(told.id);
    });
    const rename = element("button", "quiet small", "Rename");
    rename.addEventListener("click", () => this.rename(told, row));
    const remove = element("button", "quiet small", "Delete");
    remove.setAttribute("aria-label", `Delete ${told.title}`);
    rename.setAttribute("aria-label", `Rename ${told.title}`);
    remove.addEventListener("click", () => void this.remove(told, remove));
    for (const button of [open, rename, remove]) button.setAttribute("type", "button");
    row.append(open, rename, remove);
    return row;
  }

  /**
   * @param {import("./storing.js").Told} told
   * @param {HTMLElement} row
   */
  rename(told, row) {
    const box = /** @type {HTMLInputElement} */ (element("input"));
    box.value = told.title;
    box.maxLength = 200;
    box.setAttribute("aria-label", "Title");
    let keys = false; // whoever goes elsewhere by pointer is there already
    box.addEventListener("keydown", (event) => {
      if (event.key !== "Enter") return;
      event.preventDefault();
      keys = true;
      box.blur();
    });
    box.addEventListener("blur", async () => {
      const title = box.value.trim();
      if (title && title !== told.title) {
        await storing.rename(told.id, title);
        this.actions.renamed(told.id, title);
      }
      await this.load();
      if (keys) this.focus(told.id);
    });
    row.replaceChildren(box);
    box.select();
  }

  /** @param {string} id of the conversation whose row, which was made anew, gets the focus */
  focus(id) {
    const rows = /** @type {HTMLElement[]} */ ([...byId("conversations-list").children]);
    rows.find((row) => row.dataset.id === id)?.querySelector("button")?.focus();
  }

  /**
   * @param {import("./storing.js").Told} told
   * @param {HTMLElement} button which asks first
   */
  async remove(told, button) {
    if (button.textContent === "Delete") {
      button.textContent = "Really delete?";
      button.setAttribute("aria-label", `Really delete ${told.title}?`);
      return;
    }
    await storing.remove(told.id);
    this.actions.removed(told.id);
    await this.load();
    byId("search").focus();
  }
}
