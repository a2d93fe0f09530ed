/**
 * One API key: what it is and does, its usage, its rotation, its end.
 *
 * @module
 */

import { announce } from "./announcements.js";
import { destroy, get, path, put } from "./api.js";
import { copyable } from "./copy.js";
import { confirmAction } from "./dialog.js";
import { Form, errorSummary, submitButton } from "./form.js";
import { Expiry, nameField, networksField, networksOf } from "./key-fields.js";
import { Rotation } from "./key-rotation.js";
import { masked, nameOf } from "./keys.js";
import { html, nothing } from "./lit-html.js";
import { Loaded } from "./loaded.js";
import { update } from "./render.js";
import { go, href } from "./router.js";
import { ScopePicker, abilities, catalogue, covers, scopeName } from "./scopes.js";
import { strings } from "./strings.js";
import { day, shown, time } from "./text.js";

const t = strings.keys;

/** @typedef {import("./keys.js").ApiKey} ApiKey */
/** @typedef {{observed_since?: string, last_used_at?: string, last_address?: string, api_key_scopes: (import("./keys.js").Scope & {last_used_at: string})[]}} Usage */
/** @typedef {{apiKey: ApiKey, usage: Usage, all: import("./scopes.js").Description[]}} Found */

/** @param {import("./owner.js").Owner} owner @param {string} id @returns {import("./frame.js").Page} */
export function keyPage(owner, id) {
  const page = new KeyPage(owner, id);
  return { title: () => (page.found.value ? nameOf(page.found.value.apiKey) : t.one), view: () => page.view(), leave: () => page.rotation.leave() };
}

class KeyPage {
  /** @param {import("./owner.js").Owner} owner @param {string} id */
  constructor(owner, id) {
    this.owner = owner;
    this.path = `${owner.path}/${path`api_keys/${id}`}`;
    this.isRevealed = false;
    this.form = new Form();
    /** @type {{picker: ScopePicker, expiry: Expiry} | null} */
    this.editing = null;
    this.rotation = new Rotation(this.path, () => this.found.reload());
    /** @type {Loaded<Found>} */
    this.found = new Loaded(() => this.load());
  }

  async load() {
    const [apiKey, usage, all] = await Promise.all([
      get(this.path, { include: "activity" }),
      get(`${this.path}/usage`),
      catalogue(this.owner.isAdministrator),
    ]);
    return { apiKey, usage, all };
  }

  view() {
    return html`
      <p><a href=${href(this.owner.page)}>${this.owner.isSelf ? strings.access.back : strings.user.back}</a></p>
      ${this.found.view((found) => (this.editing ? this.editView(found, this.editing) : this.keyView(found)))}
    `;
  }

  /** @param {Found} found */
  keyView({ apiKey, usage, all }) {
    const scopes = apiKey.api_key_scopes ?? [];
    return html`
      <section>
        ${this.valueView(apiKey)}
        <dl class="facts">
          <dt>${t.expires}</dt><dd>${apiKey.expires_at ? html`${time(apiKey.expires_at)} (${day(apiKey.expires_at)})` : t.expiresNever}</dd>
          <dt>${t.networks}</dt><dd>${apiKey.allowed_networks?.join(", ") ?? t.anywhere}</dd>
          <dt>${t.lastUsed}</dt><dd>${time(usage.last_used_at)}${usage.last_address ? html` ${t.from} ${usage.last_address}` : nothing}</dd>
          ${usage.observed_since ? html`<dt>${t.observedSince}</dt><dd>${time(usage.observed_since)}</dd>` : nothing}
        </dl>
        <p class="actions">
          <button type="button" @click=${() => this.edit({ apiKey, usage, all })}>${strings.edit}</button>
          <button type="button" class="danger" @click=${() => this.confirmDeletion(apiKey)}>${strings.delete}</button>
        </p>
      </section>
      <section>
        <h2>${strings.scopes.abilities}</h2>
        ${abilities(scopes, all)}
        ${this.usageView(apiKey, usage)}
      </section>
      ${this.rotation.view(apiKey)}
    `;
  }

  /** @param {ApiKey} apiKey */
  valueView(apiKey) {
    const mayBeRevealed = !apiKey.key.includes("*");
    const toggle = () => {
      this.isRevealed = !this.isRevealed;
      update();
    };
    if (this.isRevealed && mayBeRevealed) {
      return html`<div class="large">${copyable(apiKey.key)}</div><p><button type="button" class="small" @click=${toggle}>${t.hide}</button></p>`;
    }
    return html`<p><code>${masked(apiKey.key)}</code> ${mayBeRevealed ? html`<button type="button" class="small" @click=${toggle}>${t.reveal}</button>` : nothing}</p>`;
  }

  /** @param {ApiKey} apiKey @param {Usage} usage */
  usageView(apiKey, usage) {
    const scopes = apiKey.api_key_scopes ?? [];
    const used = usage.api_key_scopes;
    if (scopes.length === 0) return nothing;
    const isBroad = scopes.some(({ controller, action }) => controller === "*" || action === "*");
    const unused = scopes.filter((scope) => !used.some((other) => covers(scope, other)));
    const canShrink = used.length > 0 && (unused.length > 0 || isBroad);
    return html`
      <h3>${t.usage}</h3>
      <p>${t.used(scopes.length - unused.length, scopes.length)}</p>
      ${used.length > 0
        ? html`<table class="cards"><thead><tr><th scope="col">${t.scope}</th><th scope="col">${t.lastUsed}</th></tr></thead>
            <tbody>${used.map((scope) => html`<tr><th scope="row" data-label=${t.scope}><code>${scopeName(scope)}</code></th><td data-label=${t.lastUsed}>${time(scope.last_used_at)}</td></tr>`)}</tbody></table>`
        : nothing}
      ${canShrink ? html`<p class="actions"><button type="button" @click=${() => this.confirmShrinking(used)}>${t.shrink}</button></p>` : nothing}
    `;
  }

  /** @param {import("./keys.js").Scope[]} used */
  confirmShrinking(used) {
    const scopes = used.map(({ controller, action }) => ({ controller, action }));
    confirmAction({
      title: t.shrinkTitle,
      text: html`<p>${t.shrinkText}</p><ul>${scopes.map((scope) => html`<li><code>${scopeName(scope)}</code></li>`)}</ul>`,
      action: t.shrink,
      run: async () => {
        await put(this.path, { api_key_scopes: scopes });
        announce(t.shrunk);
        this.found.reload();
      },
    });
  }

  /** @param {Found} found */
  edit({ apiKey, all }) {
    this.form = new Form();
    this.editing = {
      picker: new ScopePicker(all, apiKey.api_key_scopes ?? []),
      expiry: new Expiry(apiKey.expires_at ? "date" : "none", apiKey.expires_at),
    };
    update();
  }

  /** @param {Found} found @param {{picker: ScopePicker, expiry: Expiry}} editing */
  editView({ apiKey }, { picker, expiry }) {
    const save = async (/** @type {import("./form.js").Values} */ values) => {
      const isSameEnd = apiKey.expires_at && expiry.choice === "date" && expiry.date === new Expiry("date", apiKey.expires_at).date;
      await put(this.path, {
        name: values.name || null,
        api_key_scopes: picker.scopes(),
        expires_at: isSameEnd ? apiKey.expires_at : expiry.moment(),
        allowed_networks: networksOf(values.allowed_networks),
      });
      this.editing = null;
      announce(t.saved);
      await this.found.reload();
    };
    const cancel = () => {
      this.editing = null;
      update();
    };
    return html`
      <form @submit=${(/** @type {SubmitEvent} */ event) => this.form.submit(event, save)} novalidate>
        ${errorSummary(this.form, ["name", "expires_at", "allowed_networks", "api_key_scopes"])}
        ${nameField(this.form, apiKey.name)} ${picker.view()}
        ${(this.form.errors.api_key_scopes ?? []).map((error) => html`<p class="errors" tabindex="-1">${error}</p>`)}
        ${expiry.view(this.form)} ${networksField(this.form, apiKey.allowed_networks)}
        <p class="actions">${submitButton(this.form, strings.save)} <button type="button" @click=${cancel}>${strings.cancel}</button></p>
      </form>
    `;
  }

  /** @param {ApiKey} apiKey */
  confirmDeletion(apiKey) {
    confirmAction({
      title: t.deleteTitle,
      text: html`<p>${t.deleteText} <strong>${shown(nameOf(apiKey))}</strong></p>`,
      action: strings.delete,
      name: nameOf(apiKey),
      run: async () => {
        await destroy(this.path);
        announce(t.deleted);
        go(this.owner.page);
      },
    });
  }
}
