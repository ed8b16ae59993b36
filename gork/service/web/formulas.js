// Formulas: TeX that models write, as MathML. The typesetter is fetched when there is a first formula; what it cannot read stays source.

import { typeset } from "./markdown.js";

/** Bounds of what a formula may become: macros that grow, boxes as high as the page. */
const LIMITS = { maxSize: [20, 20], maxExpand: 200, throwOnError: true, strict: false, trust: false };
/** Formulas of one text that are typeset at most. */
const MOST = 500;
/** @type {Promise<any> | undefined} */
let loading;

/**
 * Typeset the formulas below an element.
 * @param {ParentNode} root
 */
export async function typesetFormulas(root) {
  const found = [...root.querySelectorAll("code:is(.language-tex-inline, .language-tex-display)")].filter((code) => code.parentElement?.tagName !== "PRE").slice(0, MOST);
  if (!found.length) return;
  loading ??= import("./vendor/temml/temml.min.js").then((module) => module.default);
  try {
    const temml = await loading;
    for (const code of found) show(/** @type {HTMLElement} */ (code), temml);
  } catch (error) {
    loading = undefined;
    console.info("formulas stay source:", error);
  }
}

/**
 * @param {HTMLElement} code
 * @param {any} temml
 */
function show(code, temml) {
  const text = code.textContent ?? "";
  const display = code.className === "language-tex-display";
  const source = text.startsWith("$") && !text.startsWith("$$") ? text.slice(1, -1) : text.slice(2, -2);
  let markup;
  try {
    // Inline styles are nothing that the page's policy allows; a parser would complain of each.
    markup = temml.renderToString(source, { ...LIMITS, displayMode: display }).replace(/ style="[^"]*"/g, "");
  } catch {
    return; // a formula that is not finished, or no TeX: the source says more than an error would
  }
  const shown = document.createElement("span");
  shown.className = display ? "formula display" : "formula";
  shown.title = text;
  shown.append(typeset(markup));
  if (display) {
    shown.tabIndex = 0;
    shown.setAttribute("role", "group");
    shown.setAttribute("aria-label", "Formula");
  }
  code.replaceWith(shown);
}
