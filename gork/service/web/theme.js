// Light, dark, or as the system has it.

import { setAttribute, setIcon } from "./elements.js";

const KEY = "gork.theme";
const NEXT = /** @type {Record<string, string>} */ ({ system: "light", light: "dark", dark: "system" });
const NAMES = /** @type {Record<string, string>} */ ({ system: "as the system", light: "light", dark: "dark" });

/** @param {HTMLElement} button goes from one to the next */
export function start(button) {
  let theme = document.documentElement.dataset.theme ?? "system";
  const display = () => {
    setAttribute(document.documentElement, "data-theme", theme === "system" ? null : theme);
    setIcon(button, theme);
    const label = `Colours: ${NAMES[theme]}. Switch to ${NAMES[NEXT[theme]]}`;
    setAttribute(button, "aria-label", label);
    setAttribute(button, "title", label);
  };
  button.addEventListener("click", () => {
    theme = NEXT[theme];
    try {
      if (theme === "system") localStorage.removeItem(KEY);
      else localStorage.setItem(KEY, theme);
    } catch {
      // it lasts as long as the page
    }
    display();
  });
  display();
}
