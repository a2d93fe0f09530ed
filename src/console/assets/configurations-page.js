/**
 * The configurations of a user: added, edited in place, deleted, searched.
 *
 * @module
 */

import { announce } from "./announcements.js";
import { all, destroy, path, post, put } from "./api.js";
import { confirmAction } from "./dialog.js";
import { Form, errorSummary, field, submitButton } from "./form.js";
import { html } from "./lit-html.js";
import { Loaded } from "./loaded.js";
import { self } from "./owner.js";
import { renderNow, update } from "./render.js";
import { keep } from "./router.js";
import { searchField } from "./search.js";
import { strings } from "./strings.js";
import { count, shown } from "./text.js";

const t = strings.configurations;

/** @typedef {{id: number, key: string, value: string}} Configuration */

/** @param {import("./router.js").Route} route @returns {import("./frame.js").Page} */
export function configurationsPage({ query }) {
  const section = new Configurations(self(), query.get("search") ?? "", (search) => keep("configurations", { search }));
  return {
    title: () => t.title,
    view: () => html`<p>${t.text}</p>${section.view()}`,
    changed: (route) => section.find(route.query.get("search") ?? ""),
  };
}

/** The configurations of a user. */
export class Configurations {
  /**
   * @param {import("./owner.js").Owner} owner
   * @param {string} search
   * @param {(search: string) => void} keepSearch
   */
  constructor(owner, search = "", keepSearch = () => {}) {
    this.owner = owner;
    this.search = search;
    this.keepSearch = keepSearch;
    this.adding = new Form();
    this.editing = new Form();
    /** @type {number | null} */
    this.edited = null;
    /** @type {Loaded<Configuration[]>} */
    this.list = new Loaded(() => all(`${owner.path}/configurations`, "configurations"));
  }

  /** @param {string} search */
  find(search) {
    this.search = search;
    update();
  }

  view() {
    return html`${this.addForm()} ${this.list.view((list) => this.listView(list))}`;
  }

  addForm() {
    const add = async (/** @type {import("./form.js").Values} */ values, /** @type {HTMLFormElement} */ element) => {
      await post(`${this.owner.path}/configurations`, values);
      element.reset();
      announce(t.added(values.key));
      this.list.reload();
    };
    const submit = (/** @type {SubmitEvent} */ event) => {
      const element = /** @type {HTMLFormElement} */ (event.currentTarget);
      return this.adding.submit(event, (values) => add(values, element));
    };
    return html`
      <form class="row-form" @submit=${submit} novalidate aria-label=${t.add}>
        ${errorSummary(this.adding, ["key", "value"])}
        ${field(this.adding, { name: "key", label: t.key, required: true })}
        ${field(this.adding, { name: "value", label: t.value, rows: 1 })}
        <p class="actions">${submitButton(this.adding, t.add)}</p>
      </form>
    `;
  }

  /** @param {Configuration[]} list */
  listView(list) {
    if (list.length === 0) return html`<p class="empty">${t.empty}</p>`;
    const wanted = this.search.toLowerCase();
    const found = list.filter(({ key, value }) => `${key}\n${value}`.toLowerCase().includes(wanted));
    const find = (/** @type {string} */ search) => {
      this.keepSearch(search);
      this.find(search);
    };
    return html`
      ${searchField(t.search, this.search, find)}
      <p class="quiet" role="status">${strings.found(count(found.length), count(list.length))}</p>
      ${found.length === 0 ? html`<p class="empty">${strings.nothingFound}</p>` : this.table(found)}
    `;
  }

  /** @param {Configuration[]} found */
  table(found) {
    return html`
      <table class="cards">
        <thead><tr><th scope="col">${t.key}</th><th scope="col">${t.value}</th><th scope="col"><span class="off-screen">${strings.actions}</span></th></tr></thead>
        <tbody>${found.map((configuration) => (configuration.id === this.edited ? this.editedRow(configuration) : this.row(configuration)))}</tbody>
      </table>
    `;
  }

  /** @param {Configuration} configuration */
  row(configuration) {
    const { id, key, value } = configuration;
    return html`
      <tr>
        <th scope="row" data-label=${t.key}>${shown(key)}</th>
        <td data-label=${t.value} class="long clamped">${value === "" ? html`<span class="quiet">${t.noValue}</span>` : shown(value, true)}</td>
        <td class="actions">
          <button type="button" class="small" aria-label="${strings.edit} ${key}" id="edit-${id}" @click=${() => this.edit(id)}>${strings.edit}</button>
          <button type="button" class="small" aria-label="${strings.delete} ${key}" @click=${() => this.confirmDeletion(configuration)}>${strings.delete}</button>
        </td>
      </tr>
    `;
  }

  /** @param {Configuration} configuration */
  editedRow({ id, key, value }) {
    const save = async (/** @type {import("./form.js").Values} */ values) => {
      await put(`${this.owner.path}/${path`configurations/${id}`}`, values);
      await this.list.reload();
      this.edit(null);
      announce(t.saved(values.key));
    };
    const close = (/** @type {KeyboardEvent} */ event) => event.key === "Escape" && this.edit(null);
    return html`
      <tr><td colspan="3">
        <form class="row-form" @submit=${(/** @type {SubmitEvent} */ event) => this.editing.submit(event, save)} @keydown=${close} novalidate aria-label="${strings.edit} ${key}">
          ${errorSummary(this.editing, ["key", "value"])}
          ${field(this.editing, { name: "key", label: t.key, value: key, required: true })}
          ${field(this.editing, { name: "value", label: t.value, value, rows: Math.min(12, value.split("\n").length) })}
          <p class="actions">
            ${submitButton(this.editing, strings.save)}
            <button type="button" @click=${() => this.edit(null)}>${strings.cancel}</button>
          </p>
        </form>
      </td></tr>
    `;
  }

  /** @param {number | null} id */
  edit(id) {
    const before = this.edited;
    this.edited = id;
    this.editing = new Form();
    renderNow();
    const focused = id === null ? document.querySelector(`#edit-${before}`) : document.querySelector("td form textarea");
    if (focused instanceof HTMLElement) focused.focus();
  }

  /** @param {Configuration} configuration */
  confirmDeletion({ id, key }) {
    confirmAction({
      title: t.deleteTitle,
      text: html`<p>${t.deleteText} <strong>${shown(key)}</strong></p>`,
      action: strings.delete,
      run: async () => {
        await destroy(`${this.owner.path}/${path`configurations/${id}`}`);
        announce(t.deleted(key));
        this.list.reload();
      },
    });
  }
}

