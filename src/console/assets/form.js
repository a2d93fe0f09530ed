/**
 * Forms: their fields, and what the server finds wrong beside each.
 *
 * @module
 */

import { Failure } from "./api.js";
import { failurePanel } from "./failure.js";
import { html, nothing } from "./lit-html.js";
import { renderNow, update } from "./render.js";
import { strings } from "./strings.js";

/** @typedef {Record<string, string>} Values */

/** The state of a form. */
export class Form {
  constructor() {
    /** @type {Record<string, string[]>} What is wrong with each field. */
    this.errors = {};
    /** @type {unknown} A failure that is about no field. */
    this.failure = null;
    this.isSending = false;
  }

  /**
   * Sends what the fields hold, unless it is being sent.
   *
   * @param {SubmitEvent} event
   * @param {(values: Values) => Promise<unknown>} send
   */
  async submit(event, send) {
    event.preventDefault();
    const element = /** @type {HTMLFormElement} */ (event.currentTarget);
    if (this.isSending) return;
    this.isSending = true;
    this.errors = {};
    this.failure = null;
    update();
    try {
      await send(valuesOf(element));
      if (this.failure === null && Object.keys(this.errors).length === 0) clearPasswords(element);
    } catch (failure) {
      this.fail(failure);
    }
    this.isSending = false;
    renderNow();
    focusFirstError(element);
  }

  /** @param {unknown} failure */
  fail(failure) {
    if (failure instanceof Failure && failure.status === 422) {
      for (const [attribute, violations] of Object.entries(failure.details)) {
        this.errors[attribute] = violations.map(strings.violation);
      }
    } else if (!(failure instanceof Failure) || failure.status !== 401) {
      this.failure = failure;
    }
  }
}

/** @param {HTMLFormElement} element @returns {Values} */
function valuesOf(element) {
  return Object.fromEntries([...new FormData(element)].map(([name, value]) => [name, String(value)]));
}

/** A password that was accepted stays in no field. @param {HTMLFormElement} element */
function clearPasswords(element) {
  for (const input of element.querySelectorAll("input")) {
    if (["password", "current_password"].includes(input.name)) input.value = "";
  }
}

/** @param {HTMLFormElement} element */
function focusFirstError(element) {
  const first = element.querySelector("[aria-invalid=true], .errors[tabindex], .failure button");
  if (first instanceof HTMLElement) first.focus();
}

/**
 * What is wrong with the form as a whole, or with attributes that it has no field for.
 *
 * @param {Form} form
 * @param {string[]} [fields] the attributes that have a field; without it only `base` has none
 */
export function errorSummary(form, fields) {
  const others = Object.entries(form.errors).filter(([name]) => (fields ? !fields.includes(name) : name === "base"));
  return html`
    ${others.length > 0
      ? html`<div class="panel failure" role="alert">
          ${others.flatMap(([name, errors]) => errors.map((error) => html`<p>${name === "base" ? "" : `${strings.attribute(name)}: `}${error}</p>`))}
        </div>`
      : nothing}
    ${form.failure ? failurePanel(form.failure) : nothing}
  `;
}

/**
 * A labelled field with its hint and its errors.
 *
 * @param {Form} form
 * @param {{name: string, label: unknown, value?: string, hint?: unknown, type?: string, autocomplete?: string,
 *   required?: boolean, rows?: number, options?: [string, string][], list?: string, after?: unknown, autofocus?: boolean,
 *   placeholder?: string, inputmode?: string}} options
 */
export function field(form, options) {
  const { name, label, hint, after } = options;
  const errors = form.errors[name] ?? [];
  const id = idOf(form, name);
  const describedBy = [hint ? `${id}-hint` : "", errors.length > 0 ? `${id}-errors` : ""].filter(Boolean).join(" ");
  return html`
    <div class="field">
      <label for=${id}>${label}</label>
      <div class="input">${input(id, describedBy, errors.length > 0, options)}${after ?? nothing}</div>
      ${hint ? html`<p class="hint" id="${id}-hint">${hint}</p>` : nothing}
      ${errors.length > 0
        ? html`<p class="errors" id="${id}-errors">${errors.map((error) => html`<span>${error}</span>`)}</p>`
        : nothing}
    </div>
  `;
}

/**
 * @param {string} id
 * @param {string} describedBy
 * @param {boolean} isInvalid
 * @param {Parameters<typeof field>[1]} options
 */
function input(id, describedBy, isInvalid, options) {
  const { name, value = "", type = "text", autocomplete = "off", required = false, autofocus = false } = options;
  const described = describedBy || nothing;
  if (options.options) {
    return html`<select id=${id} name=${name} aria-invalid=${isInvalid} aria-describedby=${described}>
      ${options.options.map(([key, text]) => html`<option value=${key} ?selected=${key === value}>${text}</option>`)}
    </select>`;
  }
  if (options.rows) {
    return html`<textarea id=${id} name=${name} rows=${options.rows} .value=${value} aria-invalid=${isInvalid}
      aria-describedby=${described} aria-required=${required} autocomplete="off" spellcheck="false"></textarea>`;
  }
  return html`<input id=${id} name=${name} type=${type} .value=${value} autocomplete=${autocomplete}
    aria-invalid=${isInvalid} aria-describedby=${described} aria-required=${required} ?autofocus=${autofocus}
    list=${options.list ?? nothing} placeholder=${options.placeholder ?? nothing} inputmode=${options.inputmode ?? nothing}
    autocapitalize="none" spellcheck="false">`;
}

/**
 * @param {Form} form
 * @param {{name: string, label: unknown, checked?: boolean, hint?: unknown}} options
 */
export function checkbox(form, { name, label, checked = false, hint }) {
  const errors = form.errors[name] ?? [];
  const id = idOf(form, name);
  return html`
    <div class="field check">
      <label><input type="checkbox" id=${id} name=${name} .checked=${checked} aria-describedby=${hint ? `${id}-hint` : nothing}
        aria-invalid=${errors.length > 0}> ${label}</label>
      ${hint ? html`<p class="hint" id="${id}-hint">${hint}</p>` : nothing}
      ${errors.length > 0 ? html`<p class="errors">${errors.map((error) => html`<span>${error}</span>`)}</p>` : nothing}
    </div>
  `;
}

/** @param {Form} form @param {string} label @param {string} [kind] */
export function submitButton(form, label, kind = "primary") {
  return html`<button class=${kind} aria-disabled=${form.isSending}>${form.isSending ? strings.sending : label}</button>`;
}

let forms = 0;
/** @type {WeakMap<Form, number>} */
const numbers = new WeakMap();

/** An id of its own for each field of each form. @param {Form} form @param {string} name */
function idOf(form, name) {
  if (!numbers.has(form)) numbers.set(form, ++forms);
  return `form-${numbers.get(form)}-${name}`;
}
