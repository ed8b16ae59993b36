// Fences of Markdown.

/**
 * A text in a fence that nothing within it ends.
 * @param {string} text
 * @param {string} [language]
 */
export function inFence(text, language = "") {
  const longest = Math.max(2, ...(text.match(/`+/g) ?? []).map((run) => run.length));
  const fence = "`".repeat(longest + 1);
  return `${fence}${language}\n${text.replace(/\n$/, "")}\n${fence}`;
}
