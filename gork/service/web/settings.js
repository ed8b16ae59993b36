// How the questions of a conversation are asked, and what is shown of them: rewriting, members, system message, temperature, seed, programs.

import { byId, element, show } from "./elements.js";

/**
 * @typedef {object} Settings of a conversation; null is what the service does by itself
 * @property {string} system instructions for the models, besides their own
 * @property {number | null} temperature
 * @property {number | null} seed
 * @property {boolean} compute whether models may answer by a program that is run
 * @property {string[]} without the candidates that do not take part
 * @property {boolean | null} all whether all answers are shown; null for as it was last
 * @property {boolean | null} optimize whether prompts are rewritten; null for as it was last
 */

/** @returns {Settings} */
export const defaults = () => ({ system: "", temperature: null, seed: null, compute: true, without: [], all: null, optimize: null });

/** @param {Settings} settings */
export const areDefault = (settings) => JSON.stringify(settings) === JSON.stringify(defaults());

/**
 * The part of a request that they are; whether a prompt is rewritten is said with each question.
 * @param {Settings} settings
 * @param {string[]} candidates all that there are
 */
export function asRequest({ system, temperature, seed, compute, without }, candidates) {
  const members = candidates.filter((name) => !without.includes(name));
  return {
    ...(system.trim() ? { system } : {}),
    ...(members.length && members.length < candidates.length ? { members } : {}),
    ...(temperature === null ? {} : { options: { temperature } }),
    ...(compute ? {} : { compute }),
    seed: seed ?? Math.floor(Math.random() * 2 ** 31),
  };
}

export class SettingsDialog {
  /**
   * @param {() => Settings} settings of the conversation
   * @param {(settings: Settings) => void} change
   * @param {{candidates: () => string[], all: () => boolean}} known all candidates that there are, and whether all answers are shown
   */
  constructor(settings, change, known) {
    this.settings = settings;
    this.known = known;
    byId("set-members").addEventListener("change", () => this.keepOne());
    byId("settings-button").addEventListener("click", () => {
      this.fill();
      byId("settings").showModal();
    });
    byId("settings-reset").addEventListener("click", () => {
      change(defaults());
      this.fill();
      this.mark();
    });
    byId("settings").addEventListener("close", () => {
      change(this.read());
      this.mark();
    });
    this.mark();
  }

  fill() {
    const { system, temperature, seed, compute, without } = this.settings();
    byId("set-system").value = system;
    byId("set-temperature").value = temperature ?? "";
    byId("set-seed").value = seed ?? "";
    byId("set-compute").checked = compute;
    byId("set-all").checked = this.known.all();
    const candidates = this.known.candidates();
    byId("set-members").replaceChildren(element("legend", "", "Who answers"), ...candidates.map((name) => choice(name, !without.includes(name))));
    show(byId("set-members"), candidates.length > 1);
    this.keepOne();
  }

  get boxes() {
    return /** @type {HTMLInputElement[]} */ ([...byId("set-members").querySelectorAll("input")]);
  }

  /** The last one that takes part cannot be left out. */
  keepOne() {
    const on = this.boxes.filter((box) => box.checked);
    for (const box of this.boxes) box.disabled = on.length === 1 && box.checked;
  }

  /** @returns {Settings} what stands there; a number that is none, or out of its bounds, is as if it were empty */
  read() {
    /** @param {string} id */
    const number = (id) => (byId(id).value !== "" && byId(id).checkValidity() ? Number(byId(id).value) : null);
    const all = byId("set-all").checked;
    const before = this.settings();
    return {
      system: byId("set-system").value,
      temperature: number("set-temperature"),
      seed: number("set-seed"),
      compute: byId("set-compute").checked,
      without: this.boxes.filter((box) => !box.checked).map((box) => box.value),
      all: all === this.known.all() ? before.all : all,
      optimize: before.optimize,
    };
  }

  /** Show at the button whether anything differs from what the service does by itself. */
  mark() {
    const changed = !areDefault({ ...this.settings(), all: null, optimize: null });
    byId("settings-button").classList.toggle("changed", changed);
    byId("settings-button").title = changed ? "Settings of this conversation (changed)" : "Settings of this conversation";
  }
}

/**
 * A box for one candidate.
 * @param {string} name
 * @param {boolean} on
 */
function choice(name, on) {
  const label = element("label");
  const box = /** @type {HTMLInputElement} */ (element("input"));
  Object.assign(box, { type: "checkbox", value: name, checked: on });
  label.append(box, " ", name);
  return label;
}
