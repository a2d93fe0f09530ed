/**
 * The fields of an API key that a new one and an edited one have: its name, its end, its networks.
 *
 * @module
 */

import { field } from "./form.js";
import { html, nothing } from "./lit-html.js";
import { update } from "./render.js";
import { strings } from "./strings.js";
import { day } from "./text.js";

const t = strings.keys;
const DAY_MS = 86_400_000;
const CHOICES = ["30", "90", "365", "date", "none"];

/** The end of a key, chosen among usual ones, or a date. */
export class Expiry {
  /** @param {string} choice one of the days, `date` or `none` @param {string} [moment] the end that it has */
  constructor(choice, moment) {
    this.choice = choice;
    this.date = moment ? localDate(new Date(moment)) : "";
  }

  /** The end as the API takes it, `null` for none. @returns {string | null} */
  moment() {
    if (this.choice === "none") return null;
    if (this.choice === "date") return this.date ? new Date(`${this.date}T23:59:59`).toISOString() : null;
    return new Date(Date.now() + Number(this.choice) * DAY_MS).toISOString();
  }

  /** @param {import("./form.js").Form} form */
  view(form) {
    const choose = (/** @type {Event} */ event) => {
      this.choice = /** @type {HTMLInputElement} */ (event.target).value;
      update();
    };
    const moment = this.moment();
    return html`
      <fieldset class="field" role="radiogroup" aria-describedby="expiry-hint">
        <legend>${t.expires}</legend>
        <div class="chips">
          ${CHOICES.map((choice) => html`
            <label class="chip"><input type="radio" name="expiry" value=${choice} .checked=${choice === this.choice} @change=${choose}> ${t.expiries[choice]}</label>
          `)}
        </div>
        ${this.choice === "date" ? this.dateField(form) : nothing}
        <p class="hint" id="expiry-hint">${moment ? t.expiresOn(day(moment)) : t.expiresNever}</p>
        ${(form.errors.expires_at ?? []).map((error) => html`<p class="errors">${error}</p>`)}
      </fieldset>
    `;
  }

  /** @param {import("./form.js").Form} form */
  dateField(form) {
    const pick = (/** @type {Event} */ event) => {
      this.date = /** @type {HTMLInputElement} */ (event.target).value;
      update();
    };
    return html`<div @change=${pick}>${field(form, { name: "date", label: t.lastDay, type: "date", value: this.date })}</div>`;
  }
}

/**
 * The networks as the API takes them, `null` for anywhere.
 *
 * @param {string} text
 * @returns {string[] | null}
 */
export function networksOf(text) {
  const networks = text.split(/[\s,]+/).filter((network) => network !== "");
  return networks.length > 0 ? networks : null;
}

/** @param {import("./form.js").Form} form @param {string} [name] */
export const nameField = (form, name = "") => field(form, { name: "name", label: t.name, value: name, hint: t.nameHint });

/** @param {import("./form.js").Form} form @param {string[]} [networks] */
export const networksField = (form, networks = []) =>
  field(form, { name: "allowed_networks", label: t.networks, value: networks.join(", "), hint: t.networksHint, placeholder: "192.0.2.0/24, 2001:db8::/32" });

/** @param {Date} date in the reader's zone */
function localDate(date) {
  return new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 10);
}
