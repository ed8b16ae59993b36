// The conversation as a file.

import { shownOf } from "./conversation.js";
import { inFence } from "./fences.js";
import { decidedBy, problemOf, ran } from "./answers.js";
import { chosenOf } from "./turn.js";
import { nameOf } from "./wording.js";

/**
 * @typedef {import("./conversation.js").Conversation} Conversation
 * @typedef {import("./votes.js").Votes} Votes
 */

/** @param {Conversation} conversation @param {Votes} votes */
export function asJson(conversation, votes) {
  const turns = conversation.entries.map((entry) => {
    const turn = shownOf(entry);
    const at = new Date(turn.at).toISOString();
    const partial = turn.columns.map(({ member, text, failure }) => ({ member, text, failure: failure || null }));
    const vote = turn.id ? votes.of(turn.id) : null;
    if (turn.result) return { at, ...turn.result, used: turn.used || null, vote };
    return { at, id: turn.id || null, question: { text: turn.question }, status: turn.status, reason: turn.trouble, used: turn.used || null, answers: partial };
  });
  return `${JSON.stringify({ turns }, null, 2)}\n`;
}

/** @param {Conversation} conversation @param {Votes} votes */
export function asMarkdown(conversation, votes) {
  return `${conversation.entries.map((entry) => section(shownOf(entry), votes)).join("\n\n")}\n`;
}

/** @param {import("./turn.js").Turn} turn @param {Votes} votes */
function section(turn, votes) {
  const lines = [`## ${turn.question.trim().split("\n").join("\n   ")}`, "", `*${new Date(turn.at).toISOString().slice(0, 16).replace("T", " ")} UTC*`];
  if (turn.rewrite.accepted) lines.push("", `Asked as: ${turn.rewrite.accepted}`);
  if (turn.trouble) lines.push("", `*${turn.trouble}*`);
  const winner = chosenOf(turn);
  const columns = [...turn.columns].sort((one, other) => Number(other.member === winner) - Number(one.member === winner));
  const vote = turn.id ? votes.of(turn.id) : null;
  if (vote) lines.push("", `Your vote: ${vote}`);
  for (const column of columns) {
    const remark = column.member === winner ? turn.used ? "used" : `chosen${turn.verdict.close ? ", a close call" : ""}` : column.failure ? "failed" : column.state === "not_needed" ? "not needed" : "";
    lines.push("", `### ${nameOf(column.member)}${column.model ? ` · ${column.model}` : ""}${remark ? ` (${remark})` : ""}`, "");
    lines.push(column.failure || (ran(column.answer) ? inFence(column.text, "text") : column.text) || "*nothing*");
    const program = ran(column.answer) ? column.answer.computed : column.member === winner ? decidedBy(turn) : null;
    if (program) lines.push("", "Computed by this program:", "", inFence(program.program, "python"), "", "It printed:", "", inFence(program.output, "text"));
    const problem = problemOf(column.answer);
    if (problem) lines.push("", `*${problem}*`);
  }
  return lines.join("\n");
}

/**
 * Have the browser save a text.
 * @param {string} text
 * @param {string} name
 * @param {string} type
 */
export function save(text, name, type) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
