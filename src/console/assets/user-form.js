/**
 * The form of an account.
 *
 * @module
 */

import { Form, checkbox, errorSummary, field, submitButton } from "./form.js";
import { html } from "./lit-html.js";
import { passwordField } from "./password.js";
import { href } from "./router.js";
import { strings } from "./strings.js";

const t = strings.user;
const FIELDS = ["username", "email", "password", "is_admin", "user_id", "group_id", "expired_at"];

/** @typedef {import("./systems.js").SystemUser} SystemUser */

/**
 * @param {Form} form
 * @param {import("./session.js").User | null} user `null` for a new one
 * @param {SystemUser[]} systems
 * @param {(values: import("./form.js").Values) => Promise<unknown>} save
 */
export function userForm(form, user, systems, save) {
  return html`
    <form @submit=${(/** @type {SubmitEvent} */ event) => form.submit(event, save)} novalidate>
      ${errorSummary(form, FIELDS)}
      ${field(form, { name: "username", label: t.username, value: user?.username, required: true, hint: t.usernameHint })}
      ${field(form, { name: "email", label: t.email, value: user?.email, type: "email" })}
      ${passwordField(form, { label: user ? t.newPassword : t.password, hint: user ? t.passwordHint : undefined })}
      ${checkbox(form, { name: "is_admin", label: t.isAdministrator, checked: user?.is_admin, hint: t.isAdministratorHint })}
      <div class="row" @change=${fillIds(systems)}>
        ${systemField(form, systems, user?.user_id)}
        ${field(form, { name: "user_id", label: t.uid, value: text(user?.user_id), inputmode: "numeric" })}
        ${field(form, { name: "group_id", label: t.gid, value: text(user?.group_id), inputmode: "numeric" })}
      </div>
      ${field(form, { name: "expired_at", label: t.expires, type: "date", value: user?.expired_at ? localDay(user.expired_at) : "", hint: t.expiresHint })}
      <p class="actions">${submitButton(form, user ? strings.save : t.create)} ${user ? "" : html`<a class="button" href=${href("users")}>${strings.cancel}</a>`}</p>
    </form>
  `;
}

/** @param {Form} form @param {SystemUser[]} systems @param {number | undefined} uid */
function systemField(form, systems, uid) {
  /** @type {[string, string][]} */
  const options = systems.map(({ name, uid, info }) => [String(uid), `${name} (${uid}${info ? `, ${info.split(",")[0]}` : ""})`]);
  return field(form, { name: "system", label: t.systemUser, value: text(uid), options: [["", t.noSystemUser], ...options] });
}

/**
 * Fills in the uid and the gid of the system user that was chosen.
 *
 * @param {SystemUser[]} systems
 */
function fillIds(systems) {
  return (/** @type {Event} */ event) => {
    if (!(event.target instanceof HTMLSelectElement)) return;
    const form = /** @type {HTMLFormElement} */ (event.target.form);
    const chosen = systems.find(({ uid }) => String(uid) === /** @type {HTMLSelectElement} */ (event.target).value);
    /** @type {HTMLInputElement} */ (form.elements.namedItem("user_id")).value = text(chosen?.uid);
    /** @type {HTMLInputElement} */ (form.elements.namedItem("group_id")).value = text(chosen?.gid);
  };
}

/**
 * The members of an account as the API takes them.
 *
 * @param {import("./form.js").Values} values
 * @param {import("./session.js").User} [user] whose end stays exactly what it is where its day is not changed
 */
export function valuesOfUser(values, user) {
  const isSameDay = user?.expired_at && localDay(user.expired_at) === values.expired_at;
  return {
    username: values.username,
    email: values.email || null,
    ...(values.password ? { password: values.password } : {}),
    is_admin: values.is_admin === "on",
    user_id: number(values.user_id),
    group_id: number(values.group_id),
    expired_at: isSameDay ? user.expired_at : endOfDay(values.expired_at),
  };
}

/** @param {string} date in the reader's zone, empty for none */
const endOfDay = (date) => (date ? new Date(`${date}T23:59:59`).toISOString() : null);

/** A number, or the text that is none for the server to refuse. @param {string} text */
function number(text) {
  if (text.trim() === "") return null;
  return /^\d+$/.test(text.trim()) ? Number(text) : text;
}

/** @param {number | undefined} number */
const text = (number) => (number === undefined ? "" : String(number));

/** @param {string} moment */
function localDay(moment) {
  const date = new Date(moment);
  return new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 10);
}
