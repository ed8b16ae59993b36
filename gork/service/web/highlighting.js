// Colours in code. A language's grammar is fetched when it is first needed.

import { coloured } from "./markdown.js";

/** Beyond this many characters code stays plain. */
const LONGEST = 40_000;
/** The grammars, each with those that it needs first. C++ does for C, TypeScript for JavaScript. @type {Record<string, string[]>} */
const GRAMMARS = {
  bash: [], cpp: [], css: [], diff: [], dockerfile: ["bash"], go: [], java: [], json: [], python: [], rust: [], sql: [],
  typescript: [], xml: ["css"], yaml: [],
};
/** Other names of a grammar. @type {Record<string, string>} */
const NAMES = Object.fromEntries(
  Object.entries({
    bash: "sh zsh shell console", cpp: "c c++ cc h hpp", diff: "patch", dockerfile: "docker", go: "golang", json: "jsonc", python: "py python3", rust: "rs",
    sql: "mysql postgresql sqlite", typescript: "javascript js jsx ts tsx mjs", xml: "html htm svg", yaml: "yml",
  }).flatMap(([name, others]) => others.split(" ").map((other) => [other, name])),
);
/** @type {Map<string, Promise<any>>} */
const loaded = new Map();
const core = () => once("core", async () => (await import("./vendor/highlight/core.min.js")).default);

/**
 * @param {string} name
 * @param {() => Promise<any>} load
 */
function once(name, load) {
  let promise = loaded.get(name);
  if (!promise) loaded.set(name, (promise = load()));
  return promise;
}

/** @param {string} name */
const grammar = (name) =>
  once(`grammar ${name}`, async () => {
    const [highlighter, { default: definition }] = await Promise.all([core(), import(`./vendor/highlight/languages/${name}.min.js`)]);
    highlighter.registerLanguage(name, definition);
  });

/**
 * Colour all code below an element; what cannot be coloured stays as it is.
 * @param {ParentNode} root
 */
export async function colour(root) {
  for (const code of root.querySelectorAll("pre > code[class^=language-]")) {
    const given = code.className.slice("language-".length).toLowerCase();
    const name = Object.hasOwn(NAMES, given) ? NAMES[given] : given;
    const text = code.textContent ?? "";
    if (!Object.hasOwn(GRAMMARS, name) || text.length > LONGEST) continue;
    try {
      for (const needed of [...GRAMMARS[name], name]) await grammar(needed);
      const highlighter = await core();
      code.replaceChildren(coloured(highlighter.highlight(text, { language: name, ignoreIllegals: true }).value));
    } catch (error) {
      console.warn(`code in ${name} stays plain:`, error);
    }
  }
}
