/**
 * The API's documentation, rendered from the OpenAPI document that the server serves.
 *
 * @module
 */

import { OperationView } from "./docs-operation.js";
import { Failure } from "./api.js";
import { html } from "./lit-html.js";
import { Loaded } from "./loaded.js";
import { update } from "./render.js";
import { matches, searchField } from "./search.js";
import { strings } from "./strings.js";

const t = strings.docs;

/** @typedef {import("./docs-schema.js").Schema} Schema */
/** @typedef {{name: string, in: string, required?: boolean, description?: string, schema?: Schema}} Parameter */
/** @typedef {{description: string, content?: Record<string, {schema: Schema}>, headers?: Record<string, {description: string}>}} Response */
/** @typedef {{method: string, path: string, operationId: string, summary: string, description: string, tags: string[],
 *    security?: object[], parameters?: Parameter[], requestBody?: {required: boolean, content: Record<string, {schema: Schema}>},
 *    responses: Record<string, Response>}} Operation */
/** @typedef {{info: {title: string, version: string}, operations: Operation[], root: any}} Document */

/** @param {import("./router.js").Route} route @returns {import("./frame.js").Page} */
export function docsPage({ segments }) {
  const page = new DocsPage(segments[1]);
  return { title: () => page.title(), view: () => page.view() };
}

class DocsPage {
  /** @param {string | undefined} id of the operation that is shown */
  constructor(id) {
    this.id = id;
    this.search = "";
    /** @type {OperationView | null} */
    this.operation = null;
    this.document = new Loaded(load);
  }

  title() {
    const operation = this.document.value?.operations.find(({ operationId }) => operationId === this.id);
    return operation?.summary ?? t.title;
  }

  view() {
    return this.document.view((document) => {
      const operation = document.operations.find(({ operationId }) => operationId === this.id);
      if (!operation) return this.listView(document);
      this.operation ??= new OperationView(operation, document.root);
      return html`<p><a href="#/">${t.all}</a></p>${this.operation.view()}`;
    });
  }

  /** @param {Document} document */
  listView({ info, operations }) {
    const found = operations.filter(({ summary, method, path, description }) => matches(`${summary} ${method} ${path} ${description}`, this.search));
    const find = (/** @type {string} */ search) => {
      this.search = search;
      update();
    };
    return html`
      <p>${t.text(info.title, info.version)} <a href=${documentUrl.href}>${t.document}</a></p>
      ${searchField(t.search, this.search, find)}
      ${found.length === 0 ? html`<p class="empty">${strings.nothingFound}</p>` : [...grouped(found)].map(groupView)}
    `;
  }
}

const documentUrl = new URL("openapi.json", document.baseURI);

/** @returns {Promise<Document>} */
async function load() {
  const response = await fetch(documentUrl, { credentials: "omit" }).catch(() => null);
  if (!response?.ok) throw new Failure(response?.status ?? 0, null);
  const root = await response.json();
  const operations = Object.entries(root.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({
      ...operation,
      method: method.toUpperCase(),
      path,
      parameters: (operation.parameters ?? []).map((/** @type {any} */ parameter) => resolved(parameter, root)),
    })),
  );
  return { info: root.info, operations, root };
}

/** @param {any} value @param {any} root */
function resolved(value, root) {
  if (!value.$ref) return value;
  return value.$ref.slice(2).split("/").reduce((/** @type {any} */ place, /** @type {string} */ name) => place[name], root);
}

/** The scope of an operation, if it needs one. @param {Operation} operation */
export function scopeOf({ description }) {
  const scope = /([a-z0-9_]+) \/ ([a-z0-9_]+)$/.exec(description);
  return scope ? { controller: scope[1], action: scope[2] } : null;
}

/** Operations by their tag and the controller of their scope. @param {Operation[]} operations */
function grouped(operations) {
  /** @type {Map<string, Operation[]>} */
  const groups = new Map();
  for (const operation of operations) {
    const tag = operation.tags.join(", ");
    const name = `${tag} · ${scopeOf(operation)?.controller ?? t.noScope}`;
    groups.set(name, [...(groups.get(name) ?? []), operation]);
  }
  return groups;
}

/** @param {[string, Operation[]]} group */
function groupView([name, operations]) {
  return html`
    <section>
      <h2>${name}</h2>
      <ul class="operations">
        ${operations.map(({ method, path, operationId, summary }) => html`
          <li><a href=${`#/${operationId}`}><span class="method ${method.toLowerCase()}">${method}</span> <code>${path}</code> <span>${summary}</span></a></li>
        `)}
      </ul>
    </section>
  `;
}
