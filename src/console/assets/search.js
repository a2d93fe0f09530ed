/**
 * A field that searches while one types.
 *
 * @module
 */

import { html } from "./lit-html.js";

/**
 * @param {string} label
 * @param {string} value
 * @param {(text: string) => void} find
 */
export function searchField(label, value, find) {
  // In a form, it would send the form.
  const press = (/** @type {KeyboardEvent} */ event) => event.key === "Enter" && event.preventDefault();
  const typed = (/** @type {InputEvent} */ event) => find(/** @type {HTMLInputElement} */ (event.target).value);
  return html`
    <div class="search">
      <input type="search" aria-label=${label} placeholder=${label} .value=${value} @input=${typed} @keydown=${press} autocomplete="off"
        autocapitalize="none" spellcheck="false">
    </div>
  `;
}

/** Whether a text has every word of what is searched. @param {string} text @param {string} search */
export function matches(text, search) {
  const searched = text.toLowerCase();
  return search.toLowerCase().split(/\s+/).every((word) => searched.includes(word));
}

/**
 * The same function, called once the calls pause.
 *
 * @template {any[]} A
 * @param {(...given: A) => void} run
 */
export function debounced(run) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  return (/** @type {A} */ ...given) => {
    clearTimeout(timer);
    timer = setTimeout(() => run(...given), 200);
  };
}
