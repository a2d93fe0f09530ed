/**
 * Who and what has access as oneself: sessions and API keys.
 *
 * @module
 */

import { Keys } from "./keys.js";
import { html } from "./lit-html.js";
import { self } from "./owner.js";
import { keep } from "./router.js";
import { Sessions } from "./sessions.js";
import { strings } from "./strings.js";

/** @param {import("./router.js").Route} route @returns {import("./frame.js").Page} */
export function accessPage({ query }) {
  const keys = new Keys(self(), query, (kept) => keep("access", kept));
  const sessions = new Sessions(self());
  return {
    title: () => strings.access.title,
    view: () => html`<p>${strings.access.text}</p>${keys.view()} ${sessions.view()}`,
    changed: (route) => keys.changed(route.query),
  };
}
