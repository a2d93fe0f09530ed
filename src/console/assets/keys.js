/**
 * The list of a user's API keys.
 *
 * @module
 */

import { all } from "./api.js";
import { html, nothing } from "./lit-html.js";
import { Loaded } from "./loaded.js";
import { update } from "./render.js";
import { href } from "./router.js";
import { searchField } from "./search.js";
import { strings } from "./strings.js";
import { count, shown, time } from "./text.js";

const t = strings.keys;
const UNUSED_AFTER_MS = 90 * 86_400_000;

/** @typedef {{controller: string, action: string}} Scope */
/** @typedef {{id: number, key: string, name?: string, expires_at?: string, allowed_networks?: string[],
 *    last_used_at?: string, former_value_expires_at?: string, api_key_scopes?: Scope[]}} ApiKey */

/** The name of a key, or its number where it has none. @param {ApiKey} apiKey */
export const nameOf = (apiKey) => apiKey.name ?? t.nameless(apiKey.id);

/** The value with its secret part hidden. @param {string} key */
export const masked = (key) => (key.includes("*") ? key : `${key.slice(0, key.indexOf("_") + 1)}********${key.slice(-4)}`);

export class Keys {
  /**
   * @param {import("./owner.js").Owner} owner
   * @param {URLSearchParams} query
   * @param {(query: Record<string, any>) => void} keepQuery
   */
  constructor(owner, query = new URLSearchParams(), keepQuery = () => {}) {
    this.owner = owner;
    this.keepQuery = keepQuery;
    this.search = "";
    this.onlyUnused = false;
    this.changed(query);
    /** @type {Loaded<ApiKey[]>} */
    this.list = new Loaded(() => all(`${owner.path}/api_keys`, "api_keys", { include: "activity" }));
  }

  /** @param {URLSearchParams} query */
  changed(query) {
    this.search = query.get("search") ?? "";
    this.onlyUnused = query.has("unused");
    update();
  }

  /** @param {{search?: string, onlyUnused?: boolean}} filter */
  filter(filter) {
    Object.assign(this, filter);
    this.keepQuery({ search: this.search, unused: this.onlyUnused ? 1 : undefined });
    update();
  }

  view() {
    const newKey = href(this.owner.isSelf ? "access/new" : `${this.owner.page}/keys/new`);
    return html`
      <section aria-labelledby="keys">
        <div class="heading">
          <h2 id="keys">${t.title}</h2>
          <a class="button primary" href=${newKey}>${t.new}</a>
        </div>
        ${this.list.view((list) => this.listView(list))}
      </section>
    `;
  }

  /** @param {ApiKey[]} list */
  listView(list) {
    if (list.length === 0) return html`<p class="empty">${t.empty}</p>`;
    const found = list.filter((apiKey) => this.admits(apiKey));
    const toggle = (/** @type {Event} */ event) => this.filter({ onlyUnused: /** @type {HTMLInputElement} */ (event.target).checked });
    return html`
      <div class="filters">
        ${searchField(t.search, this.search, (search) => this.filter({ search }))}
        <label class="chip"><input type="checkbox" .checked=${this.onlyUnused} @change=${toggle}> ${t.unused}</label>
      </div>
      <p class="quiet" role="status">${strings.found(count(found.length), count(list.length))}</p>
      ${found.length === 0 ? html`<p class="empty">${strings.nothingFound}</p>` : this.table(found)}
    `;
  }

  /** @param {ApiKey} apiKey */
  admits(apiKey) {
    const isUnused = !apiKey.last_used_at || Date.now() - Date.parse(apiKey.last_used_at) > UNUSED_AFTER_MS;
    const isFound = `${nameOf(apiKey)}\n${apiKey.key}`.toLowerCase().includes(this.search.toLowerCase());
    return isFound && (isUnused || !this.onlyUnused);
  }

  /** @param {ApiKey[]} found */
  table(found) {
    return html`
      <table class="cards">
        <thead><tr>
          <th scope="col">${t.name}</th><th scope="col">${t.value}</th><th scope="col">${t.lastUsed}</th><th scope="col">${t.expires}</th><th scope="col">${t.networks}</th>
        </tr></thead>
        <tbody>${found.map((apiKey) => this.row(apiKey))}</tbody>
      </table>
    `;
  }

  /** @param {ApiKey} apiKey */
  row(apiKey) {
    const isOver = apiKey.expires_at !== undefined && Date.parse(apiKey.expires_at) <= Date.now();
    return html`
      <tr>
        <th scope="row" data-label=${t.name}><a href=${href(`${this.owner.page}/keys/${apiKey.id}`)}>${shown(nameOf(apiKey))}</a></th>
        <td data-label=${t.value}><code>${masked(apiKey.key)}</code></td>
        <td data-label=${t.lastUsed}>${time(apiKey.last_used_at)}</td>
        <td data-label=${t.expires}>${time(apiKey.expires_at)} ${isOver ? html`<span class="badge danger">${t.expired}</span>` : nothing}</td>
        <td data-label=${t.networks} class="long">${apiKey.allowed_networks ? apiKey.allowed_networks.join(", ") : html`<span class="quiet">${t.anywhere}</span>`}</td>
      </tr>
    `;
  }
}
