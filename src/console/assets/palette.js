/**
 * The palette: finds pages, one's API keys and, for administrators, users.
 *
 * @module
 */

import { all, get } from "./api.js";
import { openDialog } from "./dialog.js";
import { html, nothing } from "./lit-html.js";
import { nameOf } from "./keys.js";
import { places } from "./pages.js";
import { update } from "./render.js";
import { href } from "./router.js";
import { debounced } from "./search.js";
import { session } from "./session.js";
import { strings } from "./strings.js";
import { shown } from "./text.js";

const t = strings.palette;
const MAX_OF_KIND = 6;

/** @typedef {{label: string, kind: string, address: string}} Entry */

/** Opens the palette. */
export function openPalette() {
  const palette = new Palette();
  const dialog = openDialog(t.title, () => palette.view(), { name: "palette" });
  palette.close = dialog.close;
}

class Palette {
  constructor() {
    this.text = "";
    this.selected = 0;
    this.close = () => {};
    /** @type {Entry[]} */
    this.pages = places().flatMap(({ entries }) => entries.map(({ path, label, address }) => ({ label, kind: t.page, address: address ?? href(path) })));
    this.pages.push({ label: strings.keys.new, kind: t.page, address: href("access/new") });
    if (session.user?.is_admin) this.pages.push({ label: strings.user.new, kind: t.page, address: href("users/new") });
    /** @type {Entry[]} */
    this.keys = [];
    /** @type {Entry[]} */
    this.users = [];
    this.findUsers = debounced(() => this.loadUsers());
    this.loadKeys();
  }

  async loadKeys() {
    const keys = await all("users/me/api_keys", "api_keys").catch(() => []);
    this.keys = keys.map((apiKey) => ({ label: nameOf(apiKey), kind: `${t.key} ${apiKey.id}`, address: href(`access/keys/${apiKey.id}`) }));
    update();
  }

  async loadUsers() {
    const text = this.text;
    if (!session.user?.is_admin || text === "") return;
    const { users } = await get("users", { username: `~${text}`, limit: MAX_OF_KIND }).catch(() => ({ users: [] }));
    if (text !== this.text) return;
    this.users = users.map((/** @type {import("./session.js").User} */ { id, username }) => ({ label: username, kind: t.user, address: href(`users/${id}`) }));
    update();
  }

  found() {
    const wanted = this.text.toLowerCase();
    const first = (/** @type {Entry[]} */ entries) => entries.filter(({ label }) => label.toLowerCase().includes(wanted)).slice(0, wanted ? MAX_OF_KIND : undefined);
    return [...first(this.pages), ...first(this.keys).slice(0, MAX_OF_KIND), ...first(this.users)];
  }

  view() {
    const found = this.found();
    const selected = Math.min(this.selected, found.length - 1);
    return html`
      <input type="text" role="combobox" aria-expanded="true" aria-controls="palette-found" aria-label=${t.title} placeholder=${t.placeholder}
        aria-activedescendant=${selected >= 0 ? `palette-${selected}` : nothing} aria-autocomplete="list" autocomplete="off" autocapitalize="none"
        spellcheck="false" autofocus @input=${(/** @type {Event} */ event) => this.typed(event)} @keydown=${(/** @type {KeyboardEvent} */ event) => this.pressed(event, found)}>
      <ul id="palette-found" role="listbox" aria-label=${t.found}>
        ${found.map(({ label, kind }, at) => html`
          <li id="palette-${at}" role="option" aria-selected=${at === selected} @click=${() => this.open(found[at])}>${shown(label)} <span class="quiet">${kind}</span></li>
        `)}
      </ul>
      ${found.length === 0 ? html`<p class="empty" role="status">${strings.nothingFound}</p>` : nothing}
    `;
  }

  /** @param {Event} event */
  typed(event) {
    this.text = /** @type {HTMLInputElement} */ (event.target).value.trim();
    this.selected = 0;
    this.users = [];
    this.findUsers();
    update();
  }

  /** @param {KeyboardEvent} event @param {Entry[]} found */
  pressed(event, found) {
    if (found.length === 0) return;
    if (event.key === "ArrowDown") this.selected = (this.selected + 1) % found.length;
    else if (event.key === "ArrowUp") this.selected = (this.selected + found.length - 1) % found.length;
    else if (event.key === "Enter") return this.open(found[Math.min(this.selected, found.length - 1)]);
    else return;
    event.preventDefault();
    update();
  }

  /** @param {Entry} entry */
  open(entry) {
    this.close();
    location.assign(entry.address);
  }
}
