/**
 * The form to sign in, alone or over the page whose session has ended.
 *
 * @module
 */

import { Failure } from "./api.js";
import { sentenceOf } from "./failure.js";
import { Form, field, submitButton } from "./form.js";
import { html, nothing } from "./lit-html.js";
import { update } from "./render.js";
import { session, signIn } from "./session.js";
import { strings } from "./strings.js";

const form = new Form();
/** When the next attempt is accepted, by this machine's clock. */
let waitsUntil = 0;

export function signInForm() {
  const waitSecs = Math.ceil((waitsUntil - Date.now()) / 1000);
  return html`
    <form @submit=${submit} novalidate>
      <h1>${strings.signIn.title}</h1>
      ${session.reason && !form.failure ? html`<p class="panel" role="status">${strings.signIn.reasons[session.reason]}</p>` : nothing}
      ${failureView(waitSecs)}
      ${field(form, { name: "username", label: strings.signIn.username, value: session.user?.username ?? "", autocomplete: "username", required: true, autofocus: true })}
      ${field(form, { name: "password", label: strings.signIn.password, type: "password", autocomplete: "current-password", required: true })}
      <p class="actions">${waitSecs > 0
        ? html`<button class="primary" aria-disabled="true">${strings.signIn.wait(waitSecs)}</button>`
        : submitButton(form, strings.signIn.action)}</p>
    </form>
  `;
}

/** @param {number} waitSecs */
function failureView(waitSecs) {
  if (!form.failure) return nothing;
  const isThrottled = form.failure instanceof Failure && form.failure.status === 429;
  const sentence = isThrottled ? strings.signIn.throttled(waitSecs) : wrong(form.failure);
  // Read out once, not with every second.
  return html`<p class="panel failure" role=${isThrottled ? "group" : "alert"}>${sentence}</p>
    ${isThrottled ? html`<p class="off-screen" role="alert">${strings.signIn.throttledOnce}</p>` : nothing}`;
}

/** @param {unknown} failure */
function wrong(failure) {
  return failure instanceof Failure && failure.status === 401 ? strings.signIn.wrong : sentenceOf(failure);
}

/** @param {SubmitEvent} event */
function submit(event) {
  const element = /** @type {HTMLFormElement} */ (event.currentTarget);
  if (waitsUntil > Date.now()) return event.preventDefault();
  form.submit(event, async ({ username, password }) => {
    if (!username || !password) return require(username, password);
    try {
      await signIn(username, password);
      element.reset();
    } catch (failure) {
      form.failure = failure;
      if (failure instanceof Failure && failure.status === 429) wait(failure.retryAfterSecs);
    }
  });
}

/** @param {string} username @param {string} password */
function require(username, password) {
  if (!username) form.errors.username = [strings.violation({ error: "blank" })];
  if (!password) form.errors.password = [strings.violation({ error: "blank" })];
}

/** @param {number} secs */
function wait(secs) {
  waitsUntil = Date.now() + secs * 1000;
  const timer = setInterval(() => {
    if (waitsUntil <= Date.now()) {
      clearInterval(timer);
      form.failure = null;
    }
    update();
  }, 250);
}
