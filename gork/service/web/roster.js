// The models behind the page: in the header, in a dialog, and on the empty page.

import { byId, element, setText } from "./elements.js";
import { members } from "./service.js";
import { many, shortName } from "./wording.js";

export class Roster {
  /** @param {(error: any) => boolean} settles what to do about an error when the user asks for the models; false for nothing but to tell it */
  constructor(settles) {
    /** @type {Map<string, string>} each member's model */
    this.models = new Map();
    /** @type {string[]} the candidates, the configured best first */
    this.prior = [];
    /** @type {string[]} the same as the service lists them */
    this.candidates = [];
    byId("models-button").addEventListener("click", () => {
      byId("models").showModal();
      void this.load().catch((error) => {
        if (settles(error)) byId("models").close();
        else setText(byId("models-about"), error.message);
      });
    });
  }

  /** Ask the service who answers. Rejects with a `ServiceError`. */
  async load() {
    const told = await members();
    /** @type {{member: string, role: string, model: string, where: string, state: string, ok: boolean | null}[]} */
    const rows = Array.isArray(told.members) ? told.members : [];
    this.prior = Array.isArray(told.prior) ? told.prior : [];
    this.candidates = rows.filter((row) => row.role === "candidate").map((row) => row.member);
    this.models = new Map(rows.map((row) => [row.member, row.model]));
    const able = rows.filter((row) => row.ok !== false).length;
    const models = new Set(rows.map(({ model, where }) => `${model} ${where}`)).size;
    const all = models === rows.length ? many(models, "model") : `${many(models, "model")} in ${rows.length} roles`;
    const [count, rest] = able === rows.length ? [all, ""] : [`${able} of ${rows.length}`, " members can answer"];
    // On a phone there is room for the name, and for the count where that is news.
    byId("models-summary").replaceChildren(told.ensemble, element("span", rest ? "" : "wide", ` · ${count}`), element("span", "wide", rest));
    byId("models-button").title = `${told.ensemble} · ${count}${rest}`;
    byId("models-button").classList.toggle("short", able < rows.length);
    setText(byId("models-about"), `${told.ensemble} on ${ENGINES[told.engine] ?? told.engine}. ${told.description ?? ""}`);
    setText(byId("about"), told.description ?? "");
    byId("models-list").replaceChildren(table(rows));
    byId("line-up").replaceChildren(...["promptimizer", "candidate", "judge"].map((role) => group(role, rows.filter((row) => row.role === role))));
  }
}

/** @type {Record<string, string>} */
const ENGINES = { ollama: "Ollama", embedded: "the embedded engine" };
/** @type {Record<string, string>} */
const DUTIES = { promptimizer: "rewrites your prompt", candidate: "answer", judge: "has its say, without seeing the answers" };

/**
 * @param {string} role
 * @param {{member: string, model: string, state: string, ok: boolean | null}[]} rows
 */
function group(role, rows) {
  const made = element("div", "role");
  made.append(element("p", "duty", DUTIES[role]));
  for (const row of rows) {
    const line = element("p", row.ok === false ? "member unable" : "member");
    line.append(element("strong", "", row.member), " ", element("span", "model", shortName(row.model)));
    if (row.ok === false) line.append(" ", element("span", "unable-why", "cannot answer now"));
    made.append(line);
  }
  made.hidden = rows.length === 0;
  return made;
}

/** @param {{member: string, role: string, model: string, where: string, state: string, ok: boolean | null}[]} rows */
function table(rows) {
  const made = element("table");
  const head = element("tr");
  head.append(...["Name", "Role", "Model", "State"].map((title) => element("th", "", title)));
  for (const cell of head.children) cell.setAttribute("scope", "col");
  const body = element("tbody");
  for (const row of rows) {
    const line = element("tr", row.ok === false ? "unable" : "");
    const name = element("th", "", row.member);
    name.setAttribute("scope", "row");
    const model = element("td", "", row.model);
    if (row.where) model.append(element("br"), element("small", "muted", row.where));
    line.append(name, element("td", "", row.role), model, element("td", "", row.state));
    body.append(line);
  }
  const top = element("thead");
  top.append(head);
  made.append(top, body);
  return made;
}
