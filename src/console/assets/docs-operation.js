/**
 * One operation of the API: what it takes and answers, and a form that sends it.
 *
 * @module
 */

import { Failure, address, send } from "./api.js";
import { copyButton } from "./copy.js";
import { example, schemaView, typeOf, whole } from "./docs-schema.js";
import { Form, errorSummary, field, submitButton } from "./form.js";
import { missingScope, sentenceOf } from "./failure.js";
import { html, nothing } from "./lit-html.js";
import { update } from "./render.js";
import { authorization, session } from "./session.js";
import { strings } from "./strings.js";
import { curl, marked } from "./text.js";

const t = strings.docs;
const FORM = "application/x-www-form-urlencoded";
const SHOWN_HEADERS = ["Content-Type", "Authorization", "WWW-Authenticate", "Retry-After", "X-Request-Id"];

/** @typedef {import("./docs-page.js").Operation} Operation */
/** @typedef {import("./form.js").Values} Values */

export class OperationView {
  /** @param {Operation} operation @param {any} root the document */
  constructor(operation, root) {
    this.operation = operation;
    this.root = root;
    this.form = new Form();
    const [mediaType, content] = Object.entries(operation.requestBody?.content ?? {})[0] ?? [];
    this.isForm = mediaType === FORM;
    this.schema = content?.schema;
    /** @type {Values} */
    this.values = {
      credential: operation.security?.length === 0 ? "none" : session.user ? "session" : "password",
      body: this.schema ? JSON.stringify(example(this.schema, root), null, 2) : "",
    };
    /** @type {{status: number, body: any, headers: Headers, failure: unknown} | null} */
    this.answer = null;
  }

  view() {
    const { method, path, description, parameters = [], responses } = this.operation;
    return html`
      <p class="operation"><span class="method ${method.toLowerCase()}">${method}</span> <code>/api/v2${path}</code></p>
      <p>${description.replaceAll("**", "")}</p>
      ${parameters.length > 0 ? this.parametersView() : nothing}
      ${this.schema ? html`<section><h2>${t.body}</h2>${schemaView(this.schema, this.root)}</section>` : nothing}
      <section><h2>${t.responses}</h2>${Object.entries(responses).map((entry) => this.responseView(entry))}</section>
      ${this.sendView()}
    `;
  }

  parametersView() {
    return html`
      <section>
        <h2>${t.parameters}</h2>
        <table class="cards">
          <thead><tr><th scope="col">${t.name}</th><th scope="col">${t.place}</th><th scope="col">${t.type}</th><th scope="col">${t.meaning}</th></tr></thead>
          <tbody>${this.operation.parameters?.map(({ name, in: place, description, schema }) => html`
            <tr><th scope="row" data-label=${t.name}><code>${name}</code></th><td data-label=${t.place}>${place}</td>
              <td data-label=${t.type}>${typeOf(schema ?? {}, this.root)}</td><td data-label=${t.meaning}>${marked(description ?? "")}</td></tr>`)}</tbody>
        </table>
      </section>
    `;
  }

  /** @param {[string, import("./docs-page.js").Response]} entry */
  responseView([status, { description, content }]) {
    const schema = content?.["application/json"]?.schema;
    const name = schema?.$ref?.split("/").at(-1);
    return html`
      <details ?open=${status.startsWith("2")}>
        <summary><strong>${status}</strong> ${description} ${name ? html`<code class="quiet">${name}</code>` : nothing}</summary>
        ${schema ? html`<p>${marked(whole(schema, this.root).description ?? "")}</p>${schemaView(schema, this.root)}` : html`<p class="quiet">${t.noBody}</p>`}
      </details>
    `;
  }

  sendView() {
    const { parameters = [] } = this.operation;
    const credentials = [
      ...(session.user ? [/** @type {[string, string]} */ (["session", t.credentials.session(session.user.username)])] : []),
      .../** @type {[string, string][]} */ ([["password", t.credentials.password], ["key", t.credentials.key], ["none", t.credentials.none]]),
    ];
    const typed = (/** @type {Event} */ event) => {
      const { name, value } = /** @type {HTMLInputElement} */ (event.target);
      this.values = { ...this.values, [name]: value };
      update();
    };
    return html`
      <section aria-labelledby="send">
        <h2 id="send">${t.send}</h2>
        <form @input=${typed} @change=${typed} @submit=${(/** @type {SubmitEvent} */ event) => this.form.submit(event, (values) => this.send({ ...this.values, ...values }))} novalidate>
          ${errorSummary(this.form, ["body"])}
          ${field(this.form, { name: "credential", label: t.credential, value: this.values.credential, options: credentials })}
          ${this.credentialFields()}
          ${parameters.map(({ name, in: place, required }) => field(this.form, { name: `parameter-${name}`, label: html`<code>${name}</code> <span class="quiet">${place}</span>`, required }))}
          ${this.schema ? field(this.form, { name: "body", label: t.body, value: this.values.body, rows: 8 }) : nothing}
          <p class="actions">${submitButton(this.form, t.sendAction(this.operation.method), this.operation.method === "DELETE" ? "danger" : "primary")}</p>
        </form>
        ${this.curlView()}
        ${this.answer ? this.answerView(this.answer) : nothing}
      </section>
    `;
  }

  credentialFields() {
    if (this.values.credential === "password") {
      return html`<div class="row">
        ${field(this.form, { name: "username", label: strings.signIn.username })}
        ${field(this.form, { name: "password", label: strings.signIn.password, type: "password" })}
      </div>`;
    }
    return this.values.credential === "key" ? field(this.form, { name: "key", label: t.credentials.key, type: "password" }) : nothing;
  }

  /** @param {Values} values */
  url(values) {
    const { path, parameters = [] } = this.operation;
    const given = (/** @type {string} */ name) => values[`parameter-${name}`] ?? "";
    const filled = path.slice(1).replace(/\{([a-z_]+)\}/g, (whole, name) => (given(name) ? encodeURIComponent(given(name)) : whole));
    const query = parameters.filter(({ in: place }) => place === "query").map(({ name }) => [name, given(name)]);
    return address(filled, Object.fromEntries(query));
  }

  curlView() {
    const { credential, username = "", key = "" } = this.values;
    const header = credential === "session" ? "Bearer $TOKEN" : credential === "key" ? `Bearer ${key || "$KEY"}` : null;
    const command = curl(this.operation.method, this.url(this.values), {
      authorization: header,
      user: credential === "password" ? username || "USER" : undefined,
      body: this.schema ? this.sentBody(parsedBody(this.values.body)) : undefined,
    }).replace(/'(Authorization: Bearer \$[A-Z]+)'/, '"$1"');
    return html`<h3>${t.curl}</h3><div class="copyable"><code tabindex="0">${command}</code>${copyButton(command)}</div>`;
  }

  /** A body as it is sent: the members of a form are its fields. @param {any} body */
  sentBody(body) {
    const isObject = typeof body === "object" && body !== null;
    return this.isForm && isObject ? new URLSearchParams(Object.entries(body).map(([name, value]) => [name, String(value)])) : body;
  }

  /** @param {Values} values */
  async send(values) {
    const body = this.schema && values.body?.trim() ? parsedBody(values.body) : undefined;
    if (body === MALFORMED) {
      this.form.errors.body = [t.malformed];
      return;
    }
    const options = { body: this.sentBody(body), authorization: credentialOf(values) };
    try {
      const reply = await send(this.operation.method, this.url(values).href, options);
      this.answer = { ...reply, failure: null };
    } catch (failure) {
      if (!(failure instanceof Failure) || failure.status === 0) throw failure;
      this.answer = { status: failure.status, body: failure.body, headers: failure.headers, failure };
    }
  }

  /** @param {NonNullable<OperationView["answer"]>} answer */
  answerView({ status, body, headers, failure }) {
    const shownHeaders = SHOWN_HEADERS.flatMap((name) => (headers.get(name) === null ? [] : [`${name}: ${headers.get(name)}`]));
    const text = body === null ? "" : JSON.stringify(body, null, 2);
    return html`
      <div role="status" class="panel ${status < 400 ? "success" : "failure"}">
        <h3>${t.answer} ${status}</h3>
        ${failure ? html`<p>${sentenceOf(failure)}</p>` : nothing}
        <pre tabindex="0">${shownHeaders.join("\n")}${text ? `\n\n${text}` : ""}</pre>
        <p class="actions">${text ? copyButton(text) : nothing} ${missingScope(failure)}</p>
      </div>
    `;
  }
}

const MALFORMED = "…";

/** The body as a value, {@link MALFORMED} if it is no JSON. @param {string} text */
function parsedBody(text) {
  try {
    return JSON.parse(text);
  } catch {
    return MALFORMED;
  }
}

/** @param {Values} values @returns {string | null} */
function credentialOf({ credential, username = "", password = "", key = "" }) {
  if (credential === "session") return authorization();
  if (credential === "key") return `Bearer ${key}`;
  if (credential === "none") return null;
  return `Basic ${btoa(String.fromCharCode(...new TextEncoder().encode(`${username}:${password}`)))}`;
}
