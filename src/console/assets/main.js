/**
 * The start of the console.
 *
 * @module
 */

import { openPalette } from "./palette.js";
import { show, update } from "./render.js";
import { restore, session } from "./session.js";
import { frameView, navigate } from "./frame.js";

show(/** @type {Element} */ (document.querySelector("#console")), frameView);
addEventListener("hashchange", navigate);
addEventListener("online", update);
addEventListener("offline", update);
addEventListener("keydown", (event) => {
  if (session.state !== "open" || document.querySelector("dialog[open]")) return;
  const isTyping = event.target instanceof Element && event.target.closest("input, textarea, select") !== null;
  const isSlash = event.key === "/" && !isTyping && !event.ctrlKey && !event.metaKey && !event.altKey;
  const isCtrlK = event.key.toLowerCase() === "k" && (event.ctrlKey || event.metaKey) && !event.altKey;
  if (isSlash || isCtrlK) {
    event.preventDefault();
    openPalette();
  }
});
await restore();
navigate();
