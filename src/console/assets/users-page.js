/**
 * The list of users: searched, sorted, filtered, in pages; all of which is in the address.
 *
 * @module
 */

import { get } from "./api.js";
import { html, nothing } from "./lit-html.js";
import { Loaded } from "./loaded.js";
import { update } from "./render.js";
import { href, keep } from "./router.js";
import { debounced, searchField } from "./search.js";
import { strings } from "./strings.js";
import { count, shown, time } from "./text.js";

const t = strings.users;
const PAGE = 50;

/** @typedef {import("./session.js").User} User */
/** @typedef {{search: string, role: string, sort: string, offset: number}} Query */

/** @param {import("./router.js").Route} route @returns {import("./frame.js").Page} */
export function usersPage({ query }) {
  const page = new UsersPage(query);
  return { title: () => t.title, view: () => page.view(), changed: (route) => page.changed(route.query) };
}

class UsersPage {
  /** @param {URLSearchParams} query */
  constructor(query) {
    this.query = parsed(query);
    /** @type {Loaded<{users: User[], count: number}>} */
    this.list = new Loaded(() => get("users", this.parameters()));
    this.reloadSoon = debounced(() => this.list.reload());
  }

  /** @param {URLSearchParams} query */
  changed(query) {
    this.query = parsed(query);
    this.list.reload();
  }

  parameters() {
    const { search, role, sort, offset } = this.query;
    const isMail = search.includes("@");
    return {
      [isMail ? "email" : "username"]: search ? `~${search}` : undefined,
      is_admin: role === "administrator" ? true : role === "user" ? false : undefined,
      sort_by: sort,
      include: "activity",
      limit: PAGE,
      offset,
    };
  }

  /** @param {Partial<Query>} change */
  set(change) {
    this.query = { ...this.query, offset: 0, ...change };
    keep("users", { ...this.query, offset: this.query.offset || undefined });
    this.reloadSoon();
    update();
  }

  view() {
    const choose = (/** @type {Event} */ event) => this.set({ role: /** @type {HTMLSelectElement} */ (event.target).value });
    const roles = [["", t.allRoles], ["administrator", t.administrators], ["user", t.standardUsers]];
    return html`
      <div class="filters">
        ${searchField(t.search, this.query.search, (search) => this.set({ search }))}
        <label class="inline">${t.role}
          <select @change=${choose}>${roles.map(([key, label]) => html`<option value=${key} ?selected=${key === this.query.role}>${label}</option>`)}</select>
        </label>
        <a class="button primary" href=${href("users/new")}>${t.new}</a>
      </div>
      ${this.list.view((found) => this.listView(found))}
    `;
  }

  /** @param {{users: User[], count: number}} found */
  listView({ users, count: total }) {
    if (total === 0) return html`<p class="empty">${strings.nothingFound}</p>`;
    const { offset } = this.query;
    return html`
      <p class="quiet" role="status">${t.range(count(offset + 1), count(offset + users.length), count(total))}</p>
      <table class="cards">
        <thead><tr>
          ${this.heading("username", t.username)}${this.heading("email", t.email)}${this.heading("is_admin", t.role)}
          ${this.heading("user_id", t.systemUser)}<th scope="col">${t.lastSignIn}</th>
        </tr></thead>
        <tbody>${users.map(row)}</tbody>
      </table>
      ${total > PAGE || offset > 0 ? this.pager(offset, total) : nothing}
    `;
  }

  /** @param {string} attribute @param {string} label */
  heading(attribute, label) {
    const [sorted, direction] = this.query.sort.split(":");
    const isSorted = sorted === attribute;
    const isAscending = isSorted && direction !== "desc";
    const sort = () => this.set({ sort: `${attribute}:${isAscending ? "desc" : "asc"}` });
    return html`<th scope="col" aria-sort=${isSorted ? (isAscending ? "ascending" : "descending") : nothing}>
      <button type="button" class="sort" @click=${sort}>${label}<span aria-hidden="true">${isSorted ? (isAscending ? " ↑" : " ↓") : ""}</span></button>
    </th>`;
  }

  /** @param {number} offset @param {number} total */
  pager(offset, total) {
    const to = (/** @type {number} */ offset) => href("users", { ...this.query, offset: offset || undefined });
    const last = total - 1 - ((total - 1) % PAGE);
    return html`
      <nav class="pager" aria-label=${strings.pages}>
        ${offset > PAGE ? html`<a class="button" href=${to(0)}>${strings.first}</a>` : nothing}
        ${offset > 0 ? html`<a class="button" rel="prev" href=${to(Math.max(0, offset - PAGE))}>${strings.previous}</a>` : nothing}
        ${offset + PAGE < total ? html`<a class="button" rel="next" href=${to(offset + PAGE)}>${strings.next}</a>` : nothing}
        ${offset + 2 * PAGE < total ? html`<a class="button" href=${to(last)}>${strings.last}</a>` : nothing}
      </nav>
    `;
  }
}

/** @param {User} user */
function row(user) {
  const isOver = user.expired_at !== undefined && Date.parse(user.expired_at) <= Date.now();
  return html`
    <tr>
      <th scope="row" data-label=${t.username}><a href=${href(`users/${user.id}`)}>${shown(user.username)}</a>
        ${user.suspended ? html`<span class="badge danger">${t.suspended}</span>` : nothing}
        ${isOver ? html`<span class="badge danger">${t.ended}</span>` : nothing}</th>
      <td data-label=${t.email} class="long">${user.email ? shown(user.email) : html`<span class="quiet">–</span>`}</td>
      <td data-label=${t.role}>${user.is_admin ? html`<span class="badge">${strings.roles.administrator}</span>` : strings.roles.user}</td>
      <td data-label=${t.systemUser}>${user.user_id ?? html`<span class="quiet">–</span>`}</td>
      <td data-label=${t.lastSignIn}>${time(user.last_sign_in_at, strings.unknown)}</td>
    </tr>
  `;
}

/** @param {URLSearchParams} query @returns {Query} */
function parsed(query) {
  const offset = Number(query.get("offset") ?? 0);
  return {
    search: query.get("search") ?? "",
    role: query.get("role") ?? "",
    sort: query.get("sort") ?? "username:asc",
    offset: Number.isSafeInteger(offset) && offset > 0 ? offset : 0,
  };
}
