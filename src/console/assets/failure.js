/**
 * What a failed request means for the reader, and what can be done.
 *
 * @module
 */

import { Failure } from "./api.js";
import { html, nothing } from "./lit-html.js";
import { href } from "./router.js";
import { strings } from "./strings.js";

/** @param {unknown} failure @returns {string} */
export function sentenceOf(failure) {
  if (!(failure instanceof Failure)) return strings.failures.unknown(String(failure));
  if (failure.status === 0) return strings.failures.unreachable;
  if (failure.status === 401) return strings.failures.unauthorized;
  if (failure.status === 429) return strings.failures.throttled(failure.retryAfterSecs);
  if (failure.status === 422) return Object.values(failure.messages).join(". ");
  return failure.message;
}

/**
 * @param {unknown} failure
 * @param {() => void} [retry]
 */
export function failurePanel(failure, retry) {
  const id = failure instanceof Failure ? (failure.body?.id ?? null) : null;
  return html`
    <div class="panel failure" role="alert">
      <p><strong>${strings.failures.title}</strong></p>
      <p>${sentenceOf(failure)}</p>
      ${id ? html`<p class="quiet">${strings.failures.id} <code>${id}</code></p>` : nothing}
      <p class="actions">
        ${retry ? html`<button type="button" @click=${retry}>${strings.retry}</button>` : nothing}
        ${missingScope(failure)}
      </p>
    </div>
  `;
}

/**
 * The way to an API key that has the scope that was missing. What a session may not do, none of its user's keys may.
 *
 * @param {unknown} failure
 */
export function missingScope(failure) {
  if (!(failure instanceof Failure) || failure.status !== 403) return nothing;
  const scope = /lacks the scope ([a-z0-9_*]+) \/ ([a-z0-9_*]+)/.exec(failure.message);
  if (!scope) return nothing;
  const query = { scope: `${scope[1]}/${scope[2]}` };
  return html`<a class="button" href=${href("access/new", query)}>${strings.failures.makeKey}</a>`;
}
