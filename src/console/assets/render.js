/**
 * Renders what is shown: the frame, the page in it, and the open dialogs.
 *
 * Every change of state calls {@link update}; all that is shown is rendered anew in the next microtask, of which lit-html
 * changes only what differs.
 *
 * @module
 */

import { render } from "./lit-html.js";

/** @typedef {import("./lit-html.js").Content} Content */

/** @type {Map<Element, () => Content>} */
const views = new Map();
let isQueued = false;

/** Renders all views in the next microtask. */
export function update() {
  if (isQueued) return;
  isQueued = true;
  queueMicrotask(() => {
    isQueued = false;
    renderNow();
  });
}

/** Renders all views at once. */
export function renderNow() {
  for (const [element, view] of views) render(view(), element);
}

/**
 * Shows a view in an element from now on.
 *
 * @param {Element} element
 * @param {() => Content} view
 */
export function show(element, view) {
  views.set(element, view);
  render(view(), element);
}

/** @param {Element} element whose view is no longer rendered */
export function hide(element) {
  views.delete(element);
}
