/**
 * What is around every page, and the form to sign in where there is no session: all that is needed to be seen first. What
 * `frame.js` adds is loaded after it.
 *
 * @module
 */

import { announcementsView } from "./announcements.js";
import { html, nothing } from "./lit-html.js";
import { href, isDocumentation } from "./router.js";
import { session } from "./session.js";
import { signInForm } from "./sign-in.js";
import { strings } from "./strings.js";

/** What the frame adds once it is loaded. */
export const slots = {
  /** @type {() => unknown} */
  header: () => nothing,
  /** @type {() => unknown} */
  navigation: () => nothing,
  /** Called after each rendering. */
  settle: () => {},
};

export function shellView() {
  queueMicrotask(() => slots.settle());
  const isFramed = session.user !== null || isDocumentation;
  return html`
    <a class="skip" href="#content" @click=${skip}>${strings.skip}</a>
    ${isFramed ? slots.header() : nothing}
    ${bannersView()}
    <div class=${isFramed ? "columns" : "columns alone"}>
      ${session.user ? slots.navigation() : nothing}
      <main id="content" tabindex="-1">
        ${session.state === "restoring" ? html`<p class="loading" role="status">${strings.loading}</p>` : nothing}
        ${session.state === "closed" && !isDocumentation ? html`<div class="sign-in">${signInForm()}</div>` : nothing}
      </main>
    </div>
    ${announcementsView()}
  `;
}

/** @param {Event} event */
function skip(event) {
  event.preventDefault();
  /** @type {HTMLElement} */ (document.querySelector("main")).focus();
}

function bannersView() {
  return html`
    ${session.isReachable && navigator.onLine ? nothing : html`<p class="banner warning" role="alert">${strings.offline}</p>`}
    ${session.user && session.hasInitialPassword
      ? html`<p class="banner" role="status">${strings.firstPassword} <a href=${href("account", { generate: 1 })}>${strings.changePassword}</a></p>`
      : nothing}
  `;
}
