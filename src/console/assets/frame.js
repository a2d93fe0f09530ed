/**
 * The frame around every page: the way to the others, the page itself, and the form to sign in again over it.
 *
 * @module
 */

import { openDialog } from "./dialog.js";
import { html, nothing } from "./lit-html.js";
import { home, pageAt, places } from "./pages.js";
import { openPalette } from "./palette.js";
import { hide, show, update } from "./render.js";
import { href, isDocumentation, route } from "./router.js";
import { session, signOut } from "./session.js";
import { slots } from "./shell.js";
import { signInForm } from "./sign-in.js";
import { strings } from "./strings.js";
import { shown } from "./text.js";

/** @typedef {{title: () => string, view: () => unknown, changed?: (route: import("./router.js").Route) => void, leave?: () => void}} Page */

/** @type {{page: Page, path: string, element: HTMLElement} | null} */
let current = null;
/** @type {import("./dialog.js").Dialog | null} */
let signingIn = null;
let isMenuOpen = false;
/** @type {number | null} */
let shownTo = null;

/** Shows the page that the address names from now on. */
export function start() {
  Object.assign(slots, { header: headerView, navigation: navigationView, settle });
  addEventListener("hashchange", navigate);
  addEventListener("keydown", press);
  navigate();
}

/** @param {KeyboardEvent} event */
function press(event) {
  if (session.state !== "open" || document.querySelector("dialog[open]")) return;
  const isTyping = event.target instanceof Element && event.target.closest("input, textarea, select") !== null;
  const isSlash = event.key === "/" && !isTyping && !event.ctrlKey && !event.metaKey && !event.altKey;
  const isCtrlK = event.key.toLowerCase() === "k" && (event.ctrlKey || event.metaKey) && !event.altKey;
  if (isSlash || isCtrlK) {
    event.preventDefault();
    openPalette();
  }
}

/** Shows the page that the address names; one that stays the same learns its new query. */
function navigate() {
  const { segments, query } = route();
  const path = segments.join("/");
  isMenuOpen = false;
  if (current?.path === path && current.page.changed) {
    current.page.changed({ segments, query });
  } else if (isShown()) {
    replacePage(path);
  }
  update();
}

/** @param {string} path */
function replacePage(path) {
  leavePage();
  const element = document.createElement("div");
  const page = pageAt(route());
  current = { page, path, element };
  shownTo = session.user?.id ?? null;
  /** @type {Element} */ (document.querySelector("main")).append(element);
  show(element, () => html`<h1 tabindex="-1">${shown(page.title())}</h1>${page.view()}`);
  scrollTo(0, 0);
  // The first page of a session keeps the focus of the browser.
  if (document.activeElement !== document.body || path !== "") element.querySelector("h1")?.focus({ preventScroll: true });
}

function leavePage() {
  if (!current) return;
  current.page.leave?.();
  hide(current.element);
  current.element.remove();
  current = null;
}

/** Whether pages are shown, below the form to sign in again too. */
const isShown = () => session.state === "open" || session.state === "lost" || (isDocumentation && session.state === "closed");

/** Brings the page and the dialog to sign in again into line with the session. */
function settle() {
  const title = current ? `${current.page.title()} · ${strings.name}` : strings.name;
  if (document.title !== title) document.title = title;
  if (!isShown()) leavePage();
  else if (!current || (session.state === "open" && shownTo !== (session.user?.id ?? null))) navigateAnew();
  if (session.state === "lost" && !signingIn) {
    signingIn = openDialog(strings.signIn.title, () => signInForm(), { name: "sign-in", mayClose: false });
  } else if (session.state !== "lost" && signingIn) {
    signingIn.close();
    signingIn = null;
  }
}

function navigateAnew() {
  leavePage();
  navigate();
}

function headerView() {
  const toggle = () => {
    isMenuOpen = !isMenuOpen;
    update();
  };
  return html`
    <header>
      ${session.user
        ? html`<button type="button" class="menu" aria-expanded=${isMenuOpen} aria-controls="navigation" @click=${toggle}>${strings.menu}</button>`
        : nothing}
      <a class="brand" href=${href("")}>${strings.name}</a>
      ${session.user
        ? html`
            <button type="button" class="find" aria-keyshortcuts="/ Control+K" @click=${openPalette}>${strings.find} <kbd aria-hidden="true">/</kbd></button>
            <a class="user" href=${href("account")}>${shown(session.user.username)}</a>
            <button type="button" @click=${signOut}>${strings.signOut}</button>
          `
        : html`<a class="button" href=${href("")}>${strings.signIn.action}</a>`}
    </header>
  `;
}

function navigationView() {
  const first = current?.path.split("/")[0] || home();
  const groups = places().map(({ title, entries }) => html`
    <h2>${title}</h2>
    <ul>
      ${entries.map(({ path, label, address }) => html`
        <li><a href=${address ?? href(path)} aria-current=${path === first ? "page" : nothing}>${label}</a></li>
      `)}
    </ul>
  `);
  return html`<nav id="navigation" class=${isMenuOpen ? "open" : ""} aria-label=${strings.navigation}>${groups}</nav>`;
}
