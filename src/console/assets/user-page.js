/**
 * One user, as administrators see and change the account; and a new one.
 *
 * @module
 */

import { announce } from "./announcements.js";
import { destroy, get, path, post, put } from "./api.js";
import { Configurations } from "./configurations-page.js";
import { confirmAction } from "./dialog.js";
import { Form } from "./form.js";
import { Keys } from "./keys.js";
import { html, nothing } from "./lit-html.js";
import { Loaded } from "./loaded.js";
import { ownerOf } from "./owner.js";
import { go, href } from "./router.js";
import { session, setUser } from "./session.js";
import { Sessions } from "./sessions.js";
import { strings } from "./strings.js";
import { systemUsers } from "./systems.js";
import { shown, time } from "./text.js";
import { userForm, valuesOfUser } from "./user-form.js";

const t = strings.user;

/** @typedef {import("./session.js").User} User */

/** @returns {import("./frame.js").Page} */
export function newUserPage() {
  const form = new Form();
  const systems = new Loaded(() => systemUsers().catch(() => []));
  const create = async (/** @type {import("./form.js").Values} */ values) => {
    const user = await post("users", valuesOfUser(values));
    announce(t.created(user.username));
    go(`users/${user.id}`);
  };
  return { title: () => t.new, view: () => userForm(form, null, systems.value ?? [], create) };
}

/** @param {string} id @returns {import("./frame.js").Page} */
export function userPage(id) {
  const page = new UserPage(id);
  return { title: () => page.user.value?.username ?? t.title, view: () => page.view() };
}

class UserPage {
  /** @param {string} id */
  constructor(id) {
    this.path = path`users/${id}`;
    this.form = new Form();
    /** @type {Loaded<User>} */
    this.user = new Loaded(() => get(this.path, { include: "activity" }));
    this.systems = new Loaded(() => systemUsers().catch(() => []));
    const owner = ownerOf(id);
    this.sections = { keys: new Keys(owner), sessions: new Sessions(owner), configurations: new Configurations(owner) };
  }

  view() {
    return html`
      <p><a href=${href("users")}>${t.all}</a></p>
      ${this.user.view((user) => this.userView(user))}
    `;
  }

  /** @param {User} user */
  userView(user) {
    const { keys, sessions, configurations } = this.sections;
    const isSelf = user.id === session.user?.id;
    return html`
      ${user.suspended ? html`<p class="panel warning">${t.isSuspended}</p>` : nothing}
      <p class="quiet">${t.since} ${time(user.created_at)} · ${t.lastSignIn} ${time(user.last_sign_in_at, strings.unknown)} ·
        <a href=${href("audit", { user: user.username })}>${t.audit}</a></p>
      <section>${userForm(this.form, user, this.systems.value ?? [], (values) => this.save(user, values))}</section>
      ${isSelf ? html`<p class="panel">${t.isSelf} <a href=${href("access")}>${strings.access.title}</a></p>` : nothing}
      ${keys.view()} ${sessions.view()}
      <section aria-labelledby="configurations"><h2 id="configurations">${strings.configurations.title}</h2>${configurations.view()}</section>
      ${isSelf ? nothing : this.dangerView(user)}
    `;
  }

  /** @param {User} user */
  dangerView(user) {
    return html`
      <section aria-labelledby="danger">
        <h2 id="danger">${t.danger}</h2>
        <p class="actions">
          <button type="button" @click=${() => (user.suspended ? this.suspend(user, false) : this.confirmSuspension(user))}>${user.suspended ? t.resume : t.suspend}</button>
          <button type="button" class="danger" @click=${() => this.confirmDeletion(user)}>${t.delete}</button>
        </p>
      </section>
    `;
  }

  /** @param {User} user @param {import("./form.js").Values} values */
  async save(user, values) {
    const saved = await put(this.path, valuesOfUser(values, user));
    // A new password has ended the user's sessions.
    if (values.password) this.sections.sessions.list.reload();
    if (user.id === session.user?.id) setUser(saved);
    this.form = new Form();
    announce(t.saved);
    await this.user.reload();
  }

  /** @param {User} user @param {boolean} suspended */
  async suspend(user, suspended) {
    await put(this.path, { suspended });
    announce(suspended ? t.suspendedDone(user.username) : t.resumedDone(user.username));
    this.user.reload();
  }

  /** @param {User} user */
  confirmSuspension(user) {
    confirmAction({
      title: t.suspend,
      text: html`<p>${t.suspendText} <strong>${shown(user.username)}</strong></p>`,
      action: t.suspend,
      run: () => this.suspend(user, true),
    });
  }

  /** @param {User} user */
  async confirmDeletion(user) {
    const numbers = ["sessions", "api_keys", "configurations"].map(async (kind) => (await get(`${this.path}/${kind}`, { limit: 0 })).count);
    const [sessions, keys, configurations] = await Promise.all(numbers).catch(() => [null, null, null]);
    confirmAction({
      title: t.delete,
      text: html`<p>${t.deleteText} <strong>${shown(user.username)}</strong></p>
        ${sessions === null ? nothing : html`<ul><li>${t.keys(keys)}</li><li>${t.sessions(sessions)}</li><li>${t.configurations(configurations)}</li></ul>`}`,
      action: t.delete,
      name: user.username,
      run: async () => {
        await destroy(this.path);
        announce(t.deleted(user.username));
        go("users");
      },
    });
  }
}
