/**
 * One's own account: what it is, its e-mail address and its password.
 *
 * @module
 */

import { announce } from "./announcements.js";
import { get, path, put } from "./api.js";
import { Form, errorSummary, field, submitButton } from "./form.js";
import { html, nothing } from "./lit-html.js";
import { passwordField } from "./password.js";
import { session, setUser, signIn } from "./session.js";
import { strings } from "./strings.js";
import { day, shown, time } from "./text.js";

const t = strings.account;

/** @param {import("./router.js").Route} route @returns {import("./frame.js").Page} */
export function accountPage({ query }) {
  const page = new AccountPage(query.has("generate"));
  return { title: () => t.title, view: () => page.view() };
}

class AccountPage {
  /** @param {boolean} hasGenerated */
  constructor(hasGenerated) {
    this.hasGenerated = hasGenerated;
    this.email = new Form();
    this.password = new Form();
    this.load();
  }

  async load() {
    const user = await get("users/me", { include: "activity" }).catch(() => null);
    if (user && session.user) setUser(user);
  }

  view() {
    const { user } = session;
    if (!user) return nothing;
    return html`
      <section aria-labelledby="account-facts">
        <h2 id="account-facts">${t.facts}</h2>
        <dl class="facts">
          <dt>${t.username}</dt><dd>${shown(user.username)}</dd>
          <dt>${t.role}</dt><dd>${user.is_admin ? strings.roles.administrator : strings.roles.user}</dd>
          ${user.user_id === undefined ? nothing : html`<dt>${t.systemUser}</dt><dd>${user.user_id}${user.group_id === undefined ? "" : ` / ${user.group_id}`}</dd>`}
          <dt>${t.created}</dt><dd>${time(user.created_at)}</dd>
          <dt>${t.lastSignIn}</dt><dd>${time(user.last_sign_in_at, strings.unknown)}</dd>
          ${user.expired_at ? html`<dt>${t.ends}</dt><dd>${day(user.expired_at)}</dd>` : nothing}
        </dl>
      </section>
      ${this.emailSection(user)} ${this.passwordSection(user)}
    `;
  }

  /** @param {import("./session.js").User} user */
  emailSection(user) {
    const save = async (/** @type {import("./form.js").Values} */ values) => {
      setUser(await put(path`users/${user.id}`, { email: values.email || null, ...current(values) }));
      announce(t.emailSaved);
    };
    return html`
      <section aria-labelledby="account-email">
        <h2 id="account-email">${t.email}</h2>
        <form @submit=${(/** @type {SubmitEvent} */ event) => this.email.submit(event, save)} novalidate>
          ${errorSummary(this.email, ["email", "current_password"])}
          ${field(this.email, { name: "email", label: t.email, value: user.email ?? "", type: "email", autocomplete: "email" })}
          ${currentPassword(this.email)}
          <p class="actions">${submitButton(this.email, strings.save)}</p>
        </form>
      </section>
    `;
  }

  /** @param {import("./session.js").User} user */
  passwordSection(user) {
    const save = async (/** @type {import("./form.js").Values} */ values) => {
      if (!values.password) return void (this.password.errors.password = [strings.violation({ error: "blank" })]);
      await put(path`users/${user.id}`, { password: values.password, ...current(values) });
      // The change has ended all sessions, this one too.
      await signIn(user.username, values.password);
      setUser(await get("users/me", { include: "activity" }));
      this.hasGenerated = false;
      this.password = new Form();
      announce(t.passwordSaved);
    };
    return html`
      <section aria-labelledby="account-password">
        <h2 id="account-password">${t.password}</h2>
        <p>${t.passwordText}</p>
        <form @submit=${(/** @type {SubmitEvent} */ event) => this.password.submit(event, save)} novalidate>
          ${errorSummary(this.password, ["password", "current_password"])}
          <input class="off-screen" tabindex="-1" aria-hidden="true" autocomplete="username" .value=${user.username} readonly>
          ${passwordField(this.password, { label: t.newPassword, isGenerated: this.hasGenerated })}
          ${currentPassword(this.password)}
          <p class="actions">${submitButton(this.password, t.changePassword)}</p>
        </form>
      </section>
    `;
  }
}

/** The current password, once the server has asked for it. @param {Form} form */
function currentPassword(form) {
  if (form.errors.current_password) needsCurrentPassword = true;
  if (!needsCurrentPassword) return nothing;
  return field(form, { name: "current_password", label: t.currentPassword, type: "password", autocomplete: "current-password" });
}

let needsCurrentPassword = false;

/** @param {import("./form.js").Values} values */
const current = (values) => (values.current_password ? { current_password: values.current_password } : {});
