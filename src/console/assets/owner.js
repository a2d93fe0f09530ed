/**
 * Whose sessions, API keys and configurations a page is about.
 *
 * @module
 */

import { session } from "./session.js";

/** @typedef {{path: string, page: string, isSelf: boolean, isAdministrator: boolean}} Owner
 *    `path` is that of the API, `page` that of the console */

/** The user who has signed in. @returns {Owner} */
export const self = () => ({ path: "users/me", page: "access", isSelf: true, isAdministrator: session.user?.is_admin ?? false });

/** Another user. @param {string | number} id @returns {Owner} */
export function ownerOf(id) {
  const encoded = encodeURIComponent(id);
  return { path: `users/${encoded}`, page: `users/${encoded}`, isSelf: false, isAdministrator: true };
}
