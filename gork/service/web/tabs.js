// Answers side by side where there is room; else one at a time, with tabs that arrow keys move through.

import { element, setAttribute, setText } from "./elements.js";
import { nameOf, STATES } from "./wording.js";

const NARROW = matchMedia("(max-width: 899px)");

export class Tabs {
  /**
   * @param {HTMLElement} bar
   * @param {HTMLElement[]} panels with ids and `data-member`
   * @param {Tabs | null} before the tabs of some of the same panels, whose state these take over
   */
  constructor(bar, panels, before) {
    this.bar = bar;
    this.panels = panels;
    this.tabs = panels.map((panel) => this.tabOf(panel));
    this.selected = before ? Math.max(panels.indexOf(before.panels[before.selected]), 0) : 0;
    /** Whether the user chose the tab; then nothing else does. */
    this.byHand = this.selected > 0 && before?.byHand === true;
    bar.replaceChildren(...this.tabs);
    this.end = new AbortController();
    const { signal } = this.end;
    bar.addEventListener("keydown", (event) => this.key(event), { signal });
    NARROW.addEventListener("change", () => this.select(this.selected), { signal });
    this.select(this.selected);
  }

  /** Make room for other tabs in the same bar. */
  leave() {
    this.end.abort();
  }

  /** @param {HTMLElement} panel */
  tabOf(panel) {
    const tab = element("button", "tab");
    tab.setAttribute("type", "button");
    tab.setAttribute("role", "tab");
    tab.id = `${panel.id}-tab`;
    tab.setAttribute("aria-controls", panel.id);
    tab.append(element("span", "", nameOf(panel.dataset.member ?? "")), element("small"));
    tab.addEventListener("click", () => {
      this.byHand = true;
      this.select(this.panels.indexOf(panel));
    });
    return tab;
  }

  /** @param {number} index */
  select(index) {
    const narrow = NARROW.matches && this.panels.length > 1;
    this.selected = index;
    setAttribute(this.bar, "role", narrow ? "tablist" : null);
    setAttribute(this.bar, "aria-label", narrow ? "Answers" : null);
    this.bar.hidden = !narrow;
    if (narrow) this.bar.scrollLeft = this.tabs[index].offsetLeft - this.bar.clientWidth / 3;
    this.panels.forEach((panel, at) => {
      const here = at === index;
      setAttribute(panel, "role", narrow ? "tabpanel" : null);
      setAttribute(panel, "aria-labelledby", narrow ? this.tabs[at].id : `${panel.id}-name`);
      panel.classList.toggle("away", narrow && !here);
      setAttribute(this.tabs[at], "aria-selected", String(here));
      this.tabs[at].tabIndex = here ? 0 : -1;
    });
  }

  /**
   * Show a member's panel, unless the user chose another one.
   * @param {string} member
   */
  suggest(member) {
    const index = this.panels.findIndex((panel) => panel.dataset.member === member);
    if (!this.byHand && index >= 0 && index !== this.selected) this.select(index);
  }

  /**
   * Show a member's panel and go there.
   * @param {string} member
   */
  goTo(member) {
    const index = this.panels.findIndex((panel) => panel.dataset.member === member);
    if (index < 0) return;
    this.select(index);
    const panel = this.panels[index];
    panel.scrollIntoView({ block: "nearest", behavior: "auto" });
    panel.focus({ preventScroll: true });
  }

  /**
   * @param {number} index
   * @param {string} state
   * @param {boolean} chosen
   */
  update(index, state, chosen) {
    const tab = this.tabs[index];
    setAttribute(tab, "data-state", chosen ? "chosen" : state);
    setText(/** @type {Element} */ (tab.querySelector("small")), chosen ? "Chosen" : (STATES[state] ?? STATES.waiting)[0]);
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const last = this.tabs.length - 1;
    /** @type {Record<string, number>} */
    const to = { ArrowRight: this.selected === last ? 0 : this.selected + 1, ArrowLeft: this.selected ? this.selected - 1 : last, Home: 0, End: last };
    if (!Object.hasOwn(to, event.key)) return;
    event.preventDefault();
    this.byHand = true;
    this.select(to[event.key]);
    this.tabs[this.selected].focus();
  }
}
