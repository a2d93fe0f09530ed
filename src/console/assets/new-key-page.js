/**
 * Creates an API key, and shows its value.
 *
 * @module
 */

import { address, post } from "./api.js";
import { Form, errorSummary, submitButton } from "./form.js";
import { Expiry, nameField, networksField, networksOf } from "./key-fields.js";
import { nameOf } from "./keys.js";
import { copyable } from "./copy.js";
import { html, nothing } from "./lit-html.js";
import { Loaded } from "./loaded.js";
import { renderNow } from "./render.js";
import { href } from "./router.js";
import { ScopePicker, abilities, catalogue, covers, parseScope } from "./scopes.js";
import { strings } from "./strings.js";
import { curl, day, shown } from "./text.js";

const t = strings.keys;
const DEFAULT_EXPIRY = "90";
const FIELDS = ["name", "expires_at", "allowed_networks", "api_key_scopes"];

/** @param {import("./owner.js").Owner} owner @param {import("./router.js").Route} route @returns {import("./frame.js").Page} */
export function newKeyPage(owner, { query }) {
  const page = new NewKeyPage(owner, query.getAll("scope").flatMap((text) => parseScope(text) ?? []));
  return { title: () => (page.created ? t.createdTitle : t.new), view: () => page.view() };
}

class NewKeyPage {
  /** @param {import("./owner.js").Owner} owner @param {import("./keys.js").Scope[]} scopes */
  constructor(owner, scopes) {
    this.owner = owner;
    this.form = new Form();
    this.expiry = new Expiry(DEFAULT_EXPIRY);
    this.isScopeNeeded = false;
    /** @type {import("./keys.js").ApiKey | null} */
    this.created = null;
    this.picker = new Loaded(async () => new ScopePicker(await catalogue(owner.isAdministrator), scopes));
  }

  view() {
    if (this.created) return this.createdView(this.created);
    return this.picker.view((picker) => html`
      <form @submit=${(/** @type {SubmitEvent} */ event) => this.form.submit(event, (values) => this.create(values, picker))} novalidate>
        ${this.owner.isSelf ? nothing : html`<p class="panel">${t.forOther}</p>`}
        ${errorSummary(this.form, FIELDS)}
        ${nameField(this.form)}
        ${picker.view()}
        ${(this.form.errors.api_key_scopes ?? []).map((error) => html`<p class="errors" tabindex="-1">${error}</p>`)}
        ${this.isScopeNeeded && picker.scopes().length === 0 ? html`<p class="errors" tabindex="-1">${strings.scopes.needed}</p>` : nothing}
        ${this.expiry.view(this.form)}
        ${networksField(this.form)}
        <p class="actions">${submitButton(this.form, t.create)} <a class="button" href=${href(this.owner.page)}>${strings.cancel}</a></p>
      </form>
    `);
  }

  /** @param {import("./form.js").Values} values @param {ScopePicker} picker */
  async create(values, picker) {
    this.isScopeNeeded = picker.scopes().length === 0;
    if (this.isScopeNeeded) return;
    this.created = await post(`${this.owner.path}/api_keys`, {
      name: values.name || null,
      api_key_scopes: picker.scopes(),
      expires_at: this.expiry.moment(),
      allowed_networks: networksOf(values.allowed_networks),
    });
    renderNow();
    document.querySelector("h1")?.focus();
    scrollTo(0, 0);
  }

  /** @param {import("./keys.js").ApiKey} created */
  createdView(created) {
    const scopes = created.api_key_scopes ?? [];
    const all = this.picker.value?.all ?? [];
    return html`
      <section class="panel success">
        <p>${this.owner.isSelf ? t.createdText : t.createdOnce}</p>
        <h2>${t.value}</h2>
        <div class="large">${copyable(created.key)}</div>
        <h2>${t.tryIt}</h2>
        ${copyable(curl("GET", address(example(scopes, all)), { authorization: `Bearer ${created.key}` }))}
      </section>
      <section>
        <h2>${strings.scopes.abilities}</h2>
        ${abilities(scopes, all)}
        <p>${created.expires_at ? t.expiresOn(day(created.expires_at)) : t.expiresNever}</p>
      </section>
      <p class="actions">
        <a class="button primary" href=${href(this.owner.page)}>${strings.done}</a>
        <a class="button" href=${href(`${this.owner.page}/keys/${created.id}`)}>${t.view} ${shown(nameOf(created))}</a>
      </p>
    `;
  }
}

/**
 * The path of a request that such a key can make: a list if there is one, otherwise the key's own description.
 *
 * @param {import("./keys.js").Scope[]} scopes
 * @param {import("./scopes.js").Description[]} all
 */
function example(scopes, all) {
  const opened = all.find((known) => known.method === "GET" && !known.path.includes("{") && scopes.some((scope) => covers(scope, known)));
  return (opened?.path ?? "/users/me/api_key").slice(1);
}
