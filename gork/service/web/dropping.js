// Text files that are dropped onto the page, or pasted: they become part of the question.

import { inFence } from "./fences.js";

/** Bytes of one file, and files at once, that are taken: far more than small models read. */
const LARGEST = 64 * 1024;
const MOST = 8;

/**
 * Take text files that are dropped or pasted anywhere.
 * @param {(text: string) => void} take
 * @param {(line: string) => void} say
 */
export function takeFiles(take, say) {
  addEventListener("dragover", (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    document.body.classList.add("dropping");
  });
  addEventListener("dragleave", (event) => event.relatedTarget === null && document.body.classList.remove("dropping"));
  addEventListener("drop", (event) => {
    document.body.classList.remove("dropping");
    if (!event.dataTransfer?.files.length) return;
    event.preventDefault();
    void read([...event.dataTransfer.files], take, say);
  });
  addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (!files.length || event.clipboardData?.types.includes("text/plain")) return;
    event.preventDefault();
    void read(files, take, say);
  });
}

/**
 * @param {File[]} files
 * @param {(text: string) => void} take
 * @param {(line: string) => void} say
 */
async function read(files, take, say) {
  const refused = files.slice(MOST).map((file) => `${file.name}: only ${MOST} files at once`);
  for (const file of files.slice(0, MOST)) {
    const text = file.size > LARGEST ? null : await decoded(file);
    if (file.size > LARGEST) refused.push(`${file.name} is larger than ${LARGEST / 1024} kB`);
    else if (text === null) refused.push(`${file.name} is not a text file`);
    else take(`${file.name}:\n${inFence(text)}`);
  }
  if (refused.length) say(`Not added: ${refused.join("; ")}.`);
  else say(files.length === 1 ? `${files[0].name} is part of your question now.` : `${files.length} files are part of your question now.`);
}

/** @param {File} file @returns {Promise<string | null>} null for what is no text */
async function decoded(file) {
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(await file.arrayBuffer());
    return text.includes("\0") ? null : text;
  } catch {
    return null;
  }
}
