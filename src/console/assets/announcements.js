/**
 * Short sentences about what was done, shown for a while and read out by screen readers.
 *
 * @module
 */

import { html } from "./lit-html.js";
import { update } from "./render.js";

const SHOWN_FOR_MS = 6000;
/** @type {{text: string}[]} */
let announcements = [];

/** @param {string} text */
export function announce(text) {
  const announcement = { text };
  announcements = [...announcements.slice(-2), announcement];
  setTimeout(() => {
    announcements = announcements.filter((other) => other !== announcement);
    update();
  }, SHOWN_FOR_MS);
  update();
}

export const announcementsView = () => html`
  <div class="announcements" role="status" aria-live="polite">
    ${announcements.map(({ text }) => html`<p>${text}</p>`)}
  </div>
`;
