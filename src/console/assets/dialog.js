/**
 * Modal dialogs. The browser keeps the focus in them, closes them with Escape and gives the focus back.
 *
 * @module
 */

import { Form, errorSummary, field, submitButton } from "./form.js";
import { html, nothing } from "./lit-html.js";
import { hide, show } from "./render.js";
import { strings } from "./strings.js";
import { shown, spelled } from "./text.js";

/** @typedef {{close: () => void, element: HTMLDialogElement}} Dialog */

/**
 * Opens a dialog.
 *
 * @param {string} title
 * @param {(dialog: Dialog) => unknown} view
 * @param {{name?: string, mayClose?: boolean}} [options]
 * @returns {Dialog}
 */
export function openDialog(title, view, { name = "", mayClose = true } = {}) {
  const element = document.createElement("dialog");
  element.setAttribute("aria-label", title);
  element.className = name;
  let isDone = false;
  const dialog = {
    element,
    close() {
      isDone = true;
      element.close();
    },
  };
  element.addEventListener("close", () => {
    // A gesture closes a dialog too, which cannot be prevented.
    if (!mayClose && !isDone) return element.showModal();
    hide(element);
    element.remove();
  });
  element.addEventListener("keydown", (event) => !mayClose && event.key === "Escape" && event.preventDefault());
  document.body.append(element);
  show(element, () => view(dialog));
  element.showModal();
  return dialog;
}

/**
 * Asks before something that cannot be undone.
 *
 * @param {{title: string, text: unknown, action: string, name?: string, run: () => Promise<unknown>}} question
 *   where `name` is given, it has to be typed
 */
export function confirmAction({ title, text, action, name, run }) {
  const form = new Form();
  const accept = async (/** @type {Record<string, string>} */ values) => {
    if (name !== undefined && ![name, spelled(name)].includes(values.confirmation)) {
      form.errors = { confirmation: [strings.confirmationDiffers] };
      return false;
    }
    await run();
    dialog.close();
    return true;
  };
  const dialog = openDialog(title, ({ close }) => html`
    <form @submit=${(/** @type {SubmitEvent} */ event) => form.submit(event, accept)} novalidate>
      <h2>${title}</h2>
      <div>${text}</div>
      ${errorSummary(form)}
      ${name === undefined ? nothing : field(form, { name: "confirmation", label: html`${strings.typeName} <strong>${shown(name)}</strong>`, autocomplete: "off", autofocus: true })}
      <p class="actions">
        ${submitButton(form, action, "danger")}
        <button type="button" ?autofocus=${name === undefined} @click=${close}>${strings.cancel}</button>
      </p>
    </form>
  `);
}
