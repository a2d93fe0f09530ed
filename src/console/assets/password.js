/**
 * A field for a new password, with a generator.
 *
 * @module
 */

import { copyButton } from "./copy.js";
import { field } from "./form.js";
import { html, nothing } from "./lit-html.js";
import { update } from "./render.js";
import { strings } from "./strings.js";

// 32 letters and digits, without those that look alike: five bits each.
const ALPHABET = "abcdefghjkmnpqrstuvwxyz123456789";
const GROUPS = 5;
const GROUP_LENGTH = 4;

/** A password of 100 random bits. */
export function generatePassword() {
  const random = crypto.getRandomValues(new Uint8Array(GROUPS * GROUP_LENGTH));
  const letters = Array.from(random, (byte) => ALPHABET[byte % ALPHABET.length]).join("");
  return /** @type {string[]} */ (letters.match(/.{4}/g)).join("-");
}

/** @type {WeakMap<import("./form.js").Form, string>} */
const generated = new WeakMap();

/**
 * @param {import("./form.js").Form} form
 * @param {{label: string, isGenerated?: boolean, hint?: string}} options `isGenerated` fills in a generated one
 */
export function passwordField(form, { label, isGenerated = false, hint }) {
  if (isGenerated && !generated.has(form)) generated.set(form, generatePassword());
  const password = generated.get(form);
  const generate = () => {
    generated.set(form, generatePassword());
    update();
  };
  return html`
    ${field(form, {
      name: "password",
      label,
      value: password ?? "",
      type: password ? "text" : "password",
      autocomplete: "new-password",
      hint: password ? strings.password.generated : hint,
      after: html`
        <button type="button" @click=${generate}>${strings.password.generate}</button>
        ${password ? copyButton(password) : nothing}
      `,
    })}
  `;
}
