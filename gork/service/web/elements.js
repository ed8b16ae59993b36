// Templates of the page, and changing elements only where something is different.

/** Whether there are no keys and no mouse: to put the focus into a box would bring the keyboard up over half of the page. */
export const TOUCH = matchMedia("(hover: none) and (pointer: coarse)");

/** @typedef {Record<string, any>} Parts elements by their `data-part` */

/**
 * A copy of a template: its first element, and its parts by name.
 * @param {string} id
 * @returns {{root: HTMLElement, parts: Parts}}
 */
export function copyOf(id) {
  const template = /** @type {HTMLTemplateElement} */ (document.getElementById(id));
  const copy = /** @type {DocumentFragment} */ (template.content.cloneNode(true));
  /** @type {Parts} */
  const parts = {};
  for (const element of copy.querySelectorAll("[data-part]")) parts[element.getAttribute("data-part") ?? ""] = element;
  return { root: /** @type {HTMLElement} */ (copy.firstElementChild), parts };
}

/**
 * The element of the page with this id.
 * @param {string} id
 * @returns {any}
 */
export const byId = (id) => document.getElementById(id);

/**
 * A new element with a class and text; whatever the text is, it stays text.
 * @param {string} tag
 * @param {string} [className]
 * @param {string} [text]
 */
export function element(tag, className = "", text = "") {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}

/**
 * @param {Element} target
 * @param {string} text
 */
export function setText(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

/**
 * @param {HTMLElement} target
 * @param {boolean} shown
 */
export function show(target, shown) {
  if (target.hidden === shown) target.hidden = !shown;
}

/**
 * @param {Element} target
 * @param {string} name
 * @param {string | null} value null takes the attribute away
 */
export function setAttribute(target, name, value) {
  if (target.getAttribute(name) === value) return;
  if (value === null) target.removeAttribute(name);
  else target.setAttribute(name, value);
}

/**
 * Give an icon its drawing.
 * @param {Element} icon
 * @param {string} name
 */
export function setIcon(icon, name) {
  setAttribute(/** @type {Element} */ (icon.querySelector("use")), "href", `#i-${name}`);
}
