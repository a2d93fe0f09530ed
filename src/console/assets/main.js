/**
 * The start of the console: shows the form to sign in or takes up a session, and loads everything else meanwhile.
 *
 * @module
 */

import { show, update } from "./render.js";
import { restore } from "./session.js";
import { shellView } from "./shell.js";

show(/** @type {Element} */ (document.querySelector("#console")), shellView);
addEventListener("online", update);
addEventListener("offline", update);
const [{ start }] = await Promise.all([import("./frame.js"), restore()]);
start();
