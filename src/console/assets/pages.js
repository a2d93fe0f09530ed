/**
 * All pages, by their addresses, and the ways to them.
 *
 * @module
 */

import { accessPage } from "./access-page.js";
import { accountPage } from "./account-page.js";
import { auditPage } from "./audit-page.js";
import { configurationsPage } from "./configurations-page.js";
import { docsPage } from "./docs-page.js";
import { html } from "./lit-html.js";
import { keyPage } from "./key-page.js";
import { locksPage } from "./locks-page.js";
import { newKeyPage } from "./new-key-page.js";
import { ownerOf, self } from "./owner.js";
import { href } from "./router.js";
import { session } from "./session.js";
import { statusPage } from "./status-page.js";
import { strings } from "./strings.js";
import { systemsPage } from "./systems-page.js";
import { newUserPage, userPage } from "./user-page.js";
import { usersPage } from "./users-page.js";

/** @typedef {import("./frame.js").Page} Page */
/** @typedef {import("./router.js").Route} Route */

/**
 * The page that a route names.
 *
 * @param {Route} route
 * @returns {Page}
 */
export function pageAt(route) {
  const [first = home(), second, third, fourth] = route.segments;
  if (first === "docs") return docsPage(route);
  if (first === "account") return accountPage(route);
  if (first === "configurations") return configurationsPage(route);
  if (first === "access") {
    if (second === "new") return newKeyPage(self(), route);
    return second === "keys" && third ? keyPage(self(), third) : accessPage(route);
  }
  const administrator = session.user?.is_admin ? pageOfAdministrators(first, second, third, fourth, route) : null;
  return administrator ?? unknownPage();
}

/**
 * @param {string} first
 * @param {string} second
 * @param {string} third
 * @param {string} fourth
 * @param {Route} route
 * @returns {Page | null}
 */
function pageOfAdministrators(first, second, third, fourth, route) {
  if (first === "users") {
    if (second === undefined) return usersPage(route);
    if (second === "new") return newUserPage();
    if (third === "keys") return fourth === "new" ? newKeyPage(ownerOf(second), route) : keyPage(ownerOf(second), fourth);
    return userPage(second);
  }
  if (first === "systems") return systemsPage(route);
  if (first === "locks") return locksPage();
  if (first === "audit") return auditPage(route);
  return first === "status" ? statusPage() : null;
}

/** The page at the address without a path. */
export const home = () => (session.user?.is_admin ? "users" : "access");

/** @returns {Page} */
function unknownPage() {
  return {
    title: () => strings.unknownPage.title,
    view: () => html`<p>${strings.unknownPage.text} <a href=${href("")}>${strings.unknownPage.back}</a></p>`,
  };
}

/** The ways to the pages, in groups. */
export function places() {
  const own = ["account", "configurations", "access"].map(place);
  const administration = ["users", "systems", "locks", "audit", "status"].map(place);
  const api = [{ path: "docs", label: strings.places.docs, address: "docs" }];
  return [
    { title: strings.groups.own, entries: own },
    ...(session.user?.is_admin ? [{ title: strings.groups.administration, entries: administration }] : []),
    { title: strings.groups.api, entries: api },
  ];
}

/** @param {string} path @returns {{path: string, label: string, address?: string}} */
function place(path) {
  return { path, label: strings.places[/** @type {keyof typeof strings.places} */ (path)] };
}
