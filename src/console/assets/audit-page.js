/**
 * The audit log, the newest entries first, with filters and a live view.
 *
 * @module
 */

import { get } from "./api.js";
import { html, nothing } from "./lit-html.js";
import { Loaded } from "./loaded.js";
import { update } from "./render.js";
import { href, keep } from "./router.js";
import { debounced, searchField } from "./search.js";
import { session } from "./session.js";
import { strings } from "./strings.js";
import { count, shown, time } from "./text.js";

const t = strings.audit;
const PAGE = 50;
const LIVE_EVERY_MS = 2000;
const PERIODS = ["", "1h", "24h", "7d", "30d"];

/** @typedef {{id: number, at: string, action: string, result: "done" | "refused" | "had_to_wait", user_id?: number, username?: string,
 *    username_hash?: string, credential: keyof typeof t.credentials, session?: string, api_key_id?: number, system_uid?: number, address?: string,
 *    target?: "user" | "configuration" | "api_key" | "session", target_id?: number, target_name?: string, target_owner_id?: number,
 *    details?: string[], count: number}} Entry */

/** @param {import("./router.js").Route} route @returns {import("./frame.js").Page} */
export function auditPage({ query }) {
  const page = new AuditPage(query);
  return { title: () => t.title, view: () => page.view(), changed: (route) => page.changed(route.query), leave: () => page.setLive(false) };
}

class AuditPage {
  /** @param {URLSearchParams} query */
  constructor(query) {
    this.filter = parsed(query);
    /** How many newer entries the page leaves out. */
    this.skipped = 0;
    /** @type {ReturnType<typeof setInterval> | undefined} */
    this.live = undefined;
    /** @type {Loaded<{entries: Entry[], total: number}>} */
    this.list = new Loaded(() => this.load());
    this.reloadSoon = debounced(() => this.list.reload());
  }

  /** The log is listed from its beginning, so its end is found by the number of entries. */
  async load() {
    const { user, action, since } = this.filter;
    const query = { user, action, since };
    const { count: total } = await get("audit", { ...query, limit: 0 });
    const end = Math.max(0, total - this.skipped);
    const offset = Math.max(0, end - PAGE);
    const { audit_entries: entries } = await get("audit", { ...query, limit: end - offset, offset });
    return { entries: entries.reverse(), total };
  }

  /** @param {URLSearchParams} query */
  changed(query) {
    this.filter = parsed(query);
    this.skipped = 0;
    this.list.reload();
  }

  /** @param {Partial<ReturnType<typeof parsed>>} change */
  set(change) {
    this.filter = { ...this.filter, ...change };
    this.skipped = 0;
    keep("audit", this.filter);
    this.reloadSoon();
    update();
  }

  /** @param {boolean} isLive */
  setLive(isLive) {
    clearInterval(this.live);
    this.live = isLive ? setInterval(() => document.hidden || this.list.isLoading || this.list.reload(), LIVE_EVERY_MS) : undefined;
    if (isLive) this.skipped = 0;
    update();
  }

  view() {
    const { user, action, since } = this.filter;
    const choose = (/** @type {Event} */ event) => this.set({ since: /** @type {HTMLSelectElement} */ (event.target).value });
    const toggle = (/** @type {Event} */ event) => this.setLive(/** @type {HTMLInputElement} */ (event.target).checked);
    return html`
      <div class="filters">
        ${searchField(t.user, user, (user) => this.set({ user }))}
        ${searchField(t.action, action, (action) => this.set({ action }))}
        <label class="inline">${t.period}
          <select @change=${choose}>${PERIODS.map((period) => html`<option value=${period} ?selected=${period === since}>${t.periods[/** @type {keyof typeof t.periods} */ (period)]}</option>`)}</select>
        </label>
        <label class="chip"><input type="checkbox" .checked=${this.live !== undefined} @change=${toggle}> ${t.live}</label>
      </div>
      ${this.list.view((found) => this.listView(found))}
    `;
  }

  /** @param {{entries: Entry[], total: number}} found */
  listView({ entries, total }) {
    if (entries.length === 0) return html`<p class="empty">${strings.nothingFound}</p>`;
    const skip = (/** @type {number} */ skipped) => {
      this.setLive(false);
      this.skipped = Math.max(0, skipped);
      this.list.reload();
    };
    return html`
      <p class="quiet" role=${this.live === undefined ? "status" : nothing}>${t.range(count(this.skipped + 1), count(this.skipped + entries.length), count(total))}</p>
      <table class="cards">
        <thead><tr><th scope="col">${t.at}</th><th scope="col">${t.what}</th><th scope="col">${t.who}</th><th scope="col">${t.on}</th><th scope="col">${t.address}</th></tr></thead>
        <tbody>${entries.map(row)}</tbody>
      </table>
      <nav class="pager" aria-label=${strings.pages}>
        ${this.skipped > 0 ? html`<button type="button" @click=${() => skip(this.skipped - PAGE)}>${t.newer}</button>` : nothing}
        ${this.skipped + entries.length < total ? html`<button type="button" @click=${() => skip(this.skipped + PAGE)}>${t.older}</button>` : nothing}
      </nav>
    `;
  }
}

/** @param {Entry} entry */
function row(entry) {
  const { at, action, result, details, count: times } = entry;
  return html`
    <tr>
      <td data-label=${t.at}>${time(at)}</td>
      <th scope="row" data-label=${t.what}><code>${action}</code>
        ${result === "done" ? nothing : html`<span class="badge danger">${t.results[result]}</span>`}
        ${times > 1 ? html`<span class="badge">× ${count(times)}</span>` : nothing}
        ${details ? html`<details><summary>${t.details(count(details.length))}</summary><p class="long">${shown(details.join(", "))}</p></details>` : nothing}</th>
      <td data-label=${t.who}>${actor(entry)}</td>
      <td data-label=${t.on}>${target(entry)}</td>
      <td data-label=${t.address}>${entry.address ?? html`<span class="quiet">–</span>`}</td>
    </tr>
  `;
}

/** @param {Entry} entry */
function actor({ user_id: id, username, credential, api_key_id: key, system_uid: uid }) {
  if (credential === "server") return html`<span class="quiet">${t.credentials.server}</span>`;
  const name = id === undefined ? html`<span class="quiet">${uid === undefined ? t.nobody : t.uid(uid)}</span>` : html`<a href=${href(`users/${id}`)}>${shown(username ?? String(id))}</a>`;
  const isLinked = credential === "api_key" && id !== undefined && key !== undefined;
  return html`${name} <span class="quiet">· ${isLinked ? html`<a href=${href(`users/${id}/keys/${key}`)}>${t.credentials.api_key} ${key}</a>` : t.credentials[credential]}</span>`;
}

/** @param {Entry} entry */
function target(entry) {
  const { target: kind, target_id: id, target_name: name } = entry;
  if (kind === undefined) return html`<span class="quiet">–</span>`;
  const label = html`${t.targets[kind]} ${name === undefined ? (id ?? "") : shown(name)}`;
  const page = pageAbout(entry);
  return page ? html`<a href=${href(page)}>${label}</a>` : label;
}

/** The page about the record of an entry, or about its owner; none where that is not known. @param {Entry} entry */
function pageAbout({ target: kind, target_id: id, target_owner_id: owner }) {
  if (kind === "user") return id === undefined ? null : `users/${id}`;
  if (owner === undefined) return null;
  if (kind !== "api_key") return `users/${owner}`;
  return owner === session.user?.id ? `access/keys/${id}` : `users/${owner}/keys/${id}`;
}

/** @param {URLSearchParams} query */
function parsed(query) {
  return { user: query.get("user") ?? "", action: query.get("action") ?? "", since: query.get("since") ?? "" };
}
