// How the questions of a conversation are asked: system message, temperature, seed, programs.

import { byId } from "./elements.js";

/**
 * @typedef {object} Settings of a conversation; null is what the service does by itself
 * @property {string} system instructions for the models, besides their own
 * @property {number | null} temperature
 * @property {number | null} seed
 * @property {boolean} compute whether models may answer by a program that is run
 */

/** @returns {Settings} */
export const defaults = () => ({ system: "", temperature: null, seed: null, compute: true });

/** @param {Settings} settings */
export const areDefault = (settings) => JSON.stringify(settings) === JSON.stringify(defaults());

/**
 * The part of a request that they are.
 * @param {Settings} settings
 */
export function asRequest({ system, temperature, seed, compute }) {
  return {
    ...(system.trim() ? { system } : {}),
    ...(temperature === null ? {} : { options: { temperature } }),
    ...(compute ? {} : { compute }),
    seed: seed ?? Math.floor(Math.random() * 2 ** 31),
  };
}

export class SettingsDialog {
  /**
   * @param {() => Settings} settings of the conversation
   * @param {(settings: Settings) => void} change
   */
  constructor(settings, change) {
    this.settings = settings;
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
    const { system, temperature, seed, compute } = this.settings();
    byId("set-system").value = system;
    byId("set-temperature").value = temperature ?? "";
    byId("set-seed").value = seed ?? "";
    byId("set-compute").checked = compute;
  }

  /** @returns {Settings} what stands there; a number that is none, or out of its bounds, is as if it were empty */
  read() {
    /** @param {string} id */
    const number = (id) => (byId(id).value !== "" && byId(id).checkValidity() ? Number(byId(id).value) : null);
    return { system: byId("set-system").value, temperature: number("set-temperature"), seed: number("set-seed"), compute: byId("set-compute").checked };
  }

  /** Show at the button whether anything differs from what the service does by itself. */
  mark() {
    const changed = !areDefault(this.settings());
    byId("settings-button").classList.toggle("changed", changed);
    byId("settings-button").title = changed ? "Settings of this conversation (changed)" : "Settings of this conversation";
  }
}
