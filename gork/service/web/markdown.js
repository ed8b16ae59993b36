// What models write, as elements: parsed as Markdown, without any raw HTML, and sanitised whatever the parser made of it.

import { Marked } from "./vendor/marked/marked.esm.js";
import "./vendor/dompurify/purify.min.js";

const purify = /** @type {any} */ (globalThis).DOMPurify;
const SAFE_ADDRESS = /^(?:https?:\/\/|mailto:)/i;
const CLEAN = {
  ALLOWED_TAGS: "p br hr h4 h5 h6 em strong del code pre ul ol li blockquote table thead tbody tr th td a".split(" "),
  ALLOWED_ATTR: ["href", "align", "start", "class"],
  ALLOWED_URI_REGEXP: SAFE_ADDRESS,
  ALLOW_ARIA_ATTR: false,
  ALLOW_DATA_ATTR: false,
  RETURN_DOM_FRAGMENT: true,
};
const TYPESET = { USE_PROFILES: { mathMl: true }, FORBID_ATTR: ["style", "class", "href"], ALLOW_ARIA_ATTR: false, ALLOW_DATA_ATTR: false, RETURN_DOM_FRAGMENT: true };
const COLOURED = { ALLOWED_TAGS: ["span"], ALLOWED_ATTR: ["class"], ALLOW_ARIA_ATTR: false, ALLOW_DATA_ATTR: false, RETURN_DOM_FRAGMENT: true };

/** @param {string} text */
const escape = (text) => text.replace(/[&<>"']/g, (letter) => `&#${letter.charCodeAt(0)};`);

/** Formulas in TeX by how they are delimited; `$` alone is money more often, so that it needs something that only formulas have. */
const FORMULAS = {
  display: /^(?:\\\[((?:(?!\n\s*\n)[\s\S]){1,4000}?)\\\]|\$\$((?:(?!\n\s*\n)[\s\S]){1,4000}?)\$\$)/,
  inline: /^(?:\\\(((?:(?!\n\s*\n)[\s\S]){1,4000}?)\\\)|\$(?![\s$])((?=[^$\n]*[\\^_={])[^$\n]{0,400}[^\s$\\])\$(?![\d$]))/,
  // One that is still being written: to the end of its paragraph, if that is near.
  open: /^(?:\\[([]|\$\$)(?:(?!\\[)\]]|\$\$)[\s\S]){0,300}$/,
};

/**
 * An extension of the parser: a formula, as code with all its source until it is typeset.
 * @param {"display" | "inline" | "open"} form
 * @param {"block" | "inline"} level
 */
function formula(form, level) {
  const name = `formula-${form}-${level}`;
  const code = (/** @type {any} */ { text }) => `<code class="language-tex-${form}">${escape(text)}</code>`;
  return {
    name,
    level,
    // Where the parser looks: for blocks at the beginning of lines alone, since it ends a paragraph there.
    start: (/** @type {string} */ src) => src.match(level === "block" ? /(?<=\n)(?:\\\[|\$\$)/ : /\\[([]|\$/)?.index,
    tokenizer(/** @type {string} */ src) {
      const found = FORMULAS[form].exec(src)?.[0];
      if (!found) return undefined;
      const after = level === "block" ? /^[ \t]*(?:\n|$)/.exec(src.slice(found.length))?.[0] : "";
      return after === undefined ? undefined : { type: name, raw: found + after, text: found };
    },
    renderer: level === "block" ? (/** @type {any} */ token) => `<p>${code(token)}</p>\n` : code,
  };
}

/** @type {any} marked's own types are not here */
const HOW = {
  gfm: true,
  breaks: true,
  // Tags are text: a model that writes <b> is talking about HTML, or up to something.
  // A backslash before a bracket begins a formula, or what may become one when the rest of it is written: it is no escape.
  tokenizer: {
    html: () => undefined,
    tag: () => undefined,
    escape: (/** @type {string} */ src) => (/^\\[()[\]]/.test(src) ? { type: "text", raw: src.slice(0, 2), text: src.slice(0, 2), escaped: false } : false),
  },
  extensions: [formula("display", "block"), formula("inline", "inline"), formula("display", "inline"), formula("open", "inline")],
  renderer: {
    // The page's own headings end at the third level.
    /** @this {any} */
    heading(/** @type {any} */ { tokens, depth }) {
      const level = Math.min(depth + 3, 6);
      return `<h${level}>${this.parser.parseInline(tokens)}</h${level}>\n`;
    },
    // A picture would be fetched from wherever the model says: its address is a link, for people to decide.
    image(/** @type {any} */ { href, text }) {
      const label = escape(`[image: ${text || href}]`);
      return SAFE_ADDRESS.test(href) ? `<a href="${escape(href)}">${label}</a>` : label;
    },
    checkbox: (/** @type {{checked: boolean}} */ { checked }) => (checked ? "☑ " : "☐ "),
  },
};
const marked = new Marked(HOW);

purify.addHook("afterSanitizeAttributes", (/** @type {Element} */ node) => {
  if (node.tagName === "A") {
    const address = node.getAttribute("href");
    if (address) for (const [name, value] of LINK) node.setAttribute(name, value || address);
  }
  if (node.tagName !== "SPAN" && node.hasAttribute("class")) {
    const language = /^language-[\w+#.-]{1,30}$/.exec(node.className);
    if (node.tagName !== "CODE" || !language) node.removeAttribute("class");
  }
});
/** Attributes of links; an empty one is the address, so that nobody has to trust the words of a link. */
const LINK = [["target", "_blank"], ["rel", "noopener noreferrer"], ["title", ""]];

/**
 * The blocks of a text.
 * @param {string} text with \n between lines
 * @returns {any[]} marked's tokens; `raw` is the piece of text that each one is
 */
export const blocks = (text) => marked.lexer(text);

/**
 * Blocks as elements.
 * @param {any[]} tokens
 * @returns {DocumentFragment}
 */
export function elementsOf(tokens) {
  const fragment = purify.sanitize(marked.parser(tokens), CLEAN);
  // A list's direction is that of its first words, unless its items had their own.
  for (const node of [...fragment.children, ...fragment.querySelectorAll("th, td")]) node.setAttribute("dir", "auto");
  for (const pre of fragment.querySelectorAll("pre")) frame(pre, "code");
  for (const table of fragment.querySelectorAll("table")) frame(table, "table");
  // The corner of a table is the heading of nothing.
  for (const corner of fragment.querySelectorAll("th:empty")) corner.replaceWith(document.createElement("td"));
  return fragment;
}

/**
 * Put something wide into a frame of its own that scrolls and can be reached by keys.
 * @param {HTMLElement} wide
 * @param {"code" | "table"} kind
 */
function frame(wide, kind) {
  const framed = document.createElement("div");
  framed.className = `framed ${kind}`;
  wide.removeAttribute("dir");
  wide.replaceWith(framed);
  const language = wide.querySelector("code")?.className.replace("language-", "") ?? "";
  const scroller = document.createElement("div");
  scroller.className = "scroller";
  scroller.tabIndex = 0;
  scroller.setAttribute("role", "group");
  scroller.setAttribute("aria-label", kind === "code" ? `Code ${language}`.trim() : "Table");
  scroller.append(wide);
  if (kind === "code") {
    const head = document.createElement("div");
    head.className = "code-head";
    const label = document.createElement("span");
    label.textContent = language || "text";
    head.append(label);
    framed.append(head);
  }
  framed.append(scroller);
}

/**
 * A text as it is, whatever it looks like: in a frame of its own, as code is.
 * @param {string} text
 * @param {string} language
 */
export function verbatim(text, language) {
  const fragment = document.createDocumentFragment();
  const pre = document.createElement("pre");
  const code = document.createElement("code");
  code.className = `language-${language}`;
  code.textContent = text;
  pre.append(code);
  fragment.append(pre);
  frame(pre, "code");
  return fragment;
}

/**
 * The typesetter's markup as elements.
 * @param {string} markup
 * @returns {DocumentFragment}
 */
export const typeset = (markup) => purify.sanitize(markup, TYPESET);

/**
 * The highlighter's markup as elements.
 * @param {string} markup
 * @returns {DocumentFragment}
 */
export const coloured = (markup) => purify.sanitize(markup, COLOURED);
