/**
 * The users and groups of the operating system, and the accounts that stand for them.
 *
 * @module
 */

import { all } from "./api.js";
import { html, nothing } from "./lit-html.js";
import { Loaded } from "./loaded.js";
import { update } from "./render.js";
import { href, keep } from "./router.js";
import { searchField } from "./search.js";
import { strings } from "./strings.js";
import { systemGroups, systemUsers } from "./systems.js";
import { count, shown } from "./text.js";

const t = strings.systems;
const SHOWN = 500;

/** @typedef {import("./systems.js").SystemUser} SystemUser */
/** @typedef {import("./systems.js").SystemGroup} SystemGroup */
/** @typedef {import("./session.js").User} User */

/** @param {import("./router.js").Route} route @returns {import("./frame.js").Page} */
export function systemsPage({ query }) {
  const page = new SystemsPage(query);
  return { title: () => t.title, view: () => page.view(), changed: (route) => page.changed(route.query) };
}

class SystemsPage {
  /** @param {URLSearchParams} query */
  constructor(query) {
    this.kind = "users";
    this.search = "";
    this.changed(query);
    this.users = new Loaded(async () => {
      const [systems, accounts] = await Promise.all([systemUsers(), all("users", "users")]);
      return { systems, accounts: /** @type {User[]} */ (accounts) };
    });
    this.groups = new Loaded(systemGroups);
  }

  /** @param {URLSearchParams} query */
  changed(query) {
    this.kind = query.get("kind") ?? "users";
    this.search = query.get("search") ?? "";
    update();
  }

  /** @param {{kind?: string, search?: string}} change */
  set(change) {
    Object.assign(this, change);
    keep("systems", { kind: this.kind === "users" ? undefined : this.kind, search: this.search });
    update();
  }

  view() {
    const kinds = [["users", t.users], ["unlinked", t.unlinked], ["orphans", t.orphans], ["groups", t.groups]];
    return html`
      <div class="filters">
        ${searchField(t.search, this.search, (search) => this.set({ search }))}
        <div class="chips" role="group" aria-label=${t.title}>
          ${kinds.map(([kind, label]) => html`<button type="button" class="chip" aria-pressed=${kind === this.kind} @click=${() => this.set({ kind })}>${label}</button>`)}
        </div>
      </div>
      ${this.kind === "groups" ? this.groups.view((groups) => this.groupsView(groups)) : this.users.view((found) => this.usersView(found))}
    `;
  }

  /** @param {{systems: SystemUser[], accounts: User[]}} found */
  usersView({ systems, accounts }) {
    /** @type {Map<number, User[]>} */
    const byUid = new Map();
    for (const account of accounts) {
      if (account.user_id !== undefined) byUid.set(account.user_id, [...(byUid.get(account.user_id) ?? []), account]);
    }
    if (this.kind === "orphans") return this.orphansView(accounts, new Set(systems.map(({ uid }) => uid)));
    const wanted = systems.filter(({ uid, name, info }) => this.admits(`${name} ${uid} ${info}`) && (this.kind === "users" || !byUid.has(uid)));
    return this.list(wanted, [t.name, t.uid, t.gid, t.info, t.accounts], ({ name, uid, gid, info }) => html`
      <tr>
        <th scope="row" data-label=${t.name}>${shown(name)}</th><td data-label=${t.uid}>${uid}</td><td data-label=${t.gid}>${gid}</td>
        <td data-label=${t.info} class="long">${shown(info)}</td>
        <td data-label=${t.accounts}>${accountLinks(byUid.get(uid) ?? [])}</td>
      </tr>
    `);
  }

  /** @param {User[]} accounts @param {Set<number>} uids */
  orphansView(accounts, uids) {
    const wanted = accounts.filter(({ username, user_id: uid }) => (uid === undefined || !uids.has(uid)) && this.admits(username));
    return this.list(wanted, [t.account, t.uid], (account) => html`
      <tr><th scope="row" data-label=${t.account}>${accountLinks([account])}</th>
        <td data-label=${t.uid}>${account.user_id === undefined ? html`<span class="quiet">${t.noUid}</span>` : t.unknownUid(account.user_id)}</td></tr>
    `);
  }

  /** @param {SystemGroup[]} groups */
  groupsView(groups) {
    const wanted = groups.filter(({ gid, name, users }) => this.admits(`${name} ${gid} ${users.join(" ")}`));
    return this.list(wanted, [t.name, t.gid, t.members], ({ name, gid, users }) => html`
      <tr><th scope="row" data-label=${t.name}>${shown(name)}</th><td data-label=${t.gid}>${gid}</td>
        <td data-label=${t.members} class="long">${users.length > 0 ? shown(users.join(", ")) : html`<span class="quiet">–</span>`}</td></tr>
    `);
  }

  /**
   * @template T
   * @param {T[]} found
   * @param {string[]} headings
   * @param {(record: T) => unknown} row
   */
  list(found, headings, row) {
    if (found.length === 0) return html`<p class="empty">${strings.nothingFound}</p>`;
    return html`
      <p class="quiet" role="status">${t.number(count(found.length))}${found.length > SHOWN ? html` ${t.first(count(SHOWN))}` : nothing}</p>
      <table class="cards">
        <thead><tr>${headings.map((heading) => html`<th scope="col">${heading}</th>`)}</tr></thead>
        <tbody>${found.slice(0, SHOWN).map(row)}</tbody>
      </table>
    `;
  }

  /** @param {string} text */
  admits(text) {
    return text.toLowerCase().includes(this.search.toLowerCase());
  }
}

/** @param {User[]} accounts */
function accountLinks(accounts) {
  if (accounts.length === 0) return html`<span class="quiet">${t.none}</span>`;
  return accounts.map(({ id, username }) => html`<a href=${href(`users/${id}`)}>${shown(username)}</a> `);
}
