/**
 * Copies texts, also where the page came over plain HTTP and has no clipboard.
 *
 * @module
 */

import { html } from "./lit-html.js";
import { announce } from "./announcements.js";
import { strings } from "./strings.js";

/**
 * A button that copies a text.
 *
 * @param {string} text
 * @param {string} [label]
 */
export function copyButton(text, label = strings.copy) {
  return html`<button type="button" class="small" @click=${() => copy(text)}>${label}</button>`;
}

/** A command or a value that can be copied whole. @param {string} text @param {string} [label] */
export function copyable(text, label = strings.copy) {
  return html`<div class="copyable"><code tabindex="0">${text}</code>${copyButton(text, label)}</div>`;
}

/** @param {string} text */
async function copy(text) {
  const isCopied = await toClipboard(text).catch(() => selectAndCopy(text));
  announce(isCopied ? strings.copied : strings.notCopied);
}

/** @param {string} text */
async function toClipboard(text) {
  await navigator.clipboard.writeText(text);
  return true;
}

/** @param {string} text */
function selectAndCopy(text) {
  const field = document.createElement("textarea");
  field.value = text;
  field.className = "off-screen";
  const top = [...document.querySelectorAll("dialog[open]")].at(-1) ?? document.body;
  const focused = document.activeElement;
  top.append(field);
  field.select();
  const isCopied = document.execCommand("copy");
  field.remove();
  if (focused instanceof HTMLElement) focused.focus();
  return isCopied;
}
