/**
 * The session of this tab: its token is in memory and in the tab's session storage, nowhere else.
 *
 * @module
 */

import { Failure, get, hooks, send } from "./api.js";
import { update } from "./render.js";

const STORAGE_KEY = "lodge.session";
const WITH_INITIAL_PASSWORD = { include: "initial_password" };
const MAX_TIMER_MS = 2 ** 31 - 1;

/** @typedef {{id: number, username: string, email?: string, is_admin: boolean, suspended?: boolean, user_id?: number,
 *    has_initial_password?: boolean, group_id?: number, expired_at?: string, created_at: string, updated_at: string, last_sign_in_at?: string}} User */

export const session = {
  /** `restoring` until a stored token was tried, `lost` while the page stays below the form to sign in again.
   * @type {"restoring" | "closed" | "open" | "lost"} */
  state: "restoring",
  /** @type {User | null} */
  user: null,
  /** Why one has to sign in again.
   * @type {"expired" | "ended" | "unreachable" | null} */
  reason: null,
  isReachable: true,
  /** Whether the password is still that of the server's first start. */
  hasInitialPassword: false,
};

/** @type {{token: string, opened: number} | null} */
let credential = null;
/** @type {ReturnType<typeof setTimeout> | undefined} */
let timer;

/** The `Authorization` header of the session. */
export const authorization = () => (credential ? `Bearer ${credential.token}` : null);

hooks.authorization = authorization;
hooks.refused = (sent) => {
  if (sent !== null && sent === authorization()) lose(isOver() ? "expired" : "ended");
};
hooks.reached = (isReachable) => {
  if (session.isReachable === isReachable) return;
  session.isReachable = isReachable;
  update();
};

/** Takes up the session that this tab had before the page was loaded again. */
export async function restore() {
  try {
    credential = stored();
    if (credential && isOver()) lose("expired");
    else if (credential) await open(await get("users/me", WITH_INITIAL_PASSWORD));
    else session.state = "closed";
  } catch (error) {
    if (!(error instanceof Failure) || error.status !== 401) session.state = "closed";
    if (error instanceof Failure && error.status === 0) session.reason = "unreachable";
  }
  if (session.state === "lost") session.state = "closed";
  update();
}

/**
 * @param {string} username
 * @param {string} password
 */
export async function signIn(username, password) {
  const body = { user: { username, password } };
  const reply = await send("POST", "users/sign_in", { body, authorization: null });
  const token = (reply.headers.get("Authorization") ?? "").replace(/^Bearer /i, "");
  credential = { token, opened: Date.now() };
  store(credential);
  await open(reply.body);
  // Not awaited: it is for a banner alone.
  get("users/me", WITH_INITIAL_PASSWORD).then(noticeInitialPassword, () => {});
}

/** Ends the session, also where the server cannot be reached. */
export async function signOut() {
  const ended = authorization();
  forget();
  session.state = "closed";
  session.reason = null;
  session.user = null;
  update();
  if (ended) await send("DELETE", "users/sign_out", { authorization: ended }).catch(() => {});
}

/** @param {User} user as it is now */
export function setUser(user) {
  session.user = user;
  update();
}

/** @param {User} user with what {@link WITH_INITIAL_PASSWORD} asks for */
function noticeInitialPassword(user) {
  session.hasInitialPassword = user.has_initial_password ?? false;
  update();
}

/** @param {User} user */
async function open(user) {
  session.user = user;
  noticeInitialPassword(user);
  session.state = "open";
  session.reason = null;
  clearTimeout(timer);
  timer = setTimeout(() => isOver() && lose("expired"), Math.min(Math.max(0, end() - Date.now()) + 500, MAX_TIMER_MS));
  update();
}

/** @param {"expired" | "ended"} reason */
function lose(reason) {
  if (session.state === "open" || session.state === "restoring") session.state = "lost";
  session.reason = reason;
  forget();
  update();
}

function forget() {
  credential = null;
  clearTimeout(timer);
  store(null);
}

/** What the tab has stored; nothing where the browser lets it store nothing. @returns {typeof credential} */
function stored() {
  try {
    return JSON.parse(sessionStorage.getItem(STORAGE_KEY) ?? "null");
  } catch {
    return null;
  }
}

/** @param {typeof credential} credential which is in memory too, so that a browser that stores nothing loses it with the page */
function store(credential) {
  try {
    if (credential) sessionStorage.setItem(STORAGE_KEY, JSON.stringify(credential));
    else sessionStorage.removeItem(STORAGE_KEY);
  } catch {
    // The page works all the same until it is loaded again.
  }
}

const isOver = () => Date.now() >= end();

/** When the token ends by this machine's clock, which may differ from the server's. */
function end() {
  if (!credential) return Infinity;
  const claims = claimsOf(credential.token);
  return claims ? credential.opened + 1000 * (claims.exp - claims.iat) : Infinity;
}

/** @param {string} token @returns {{exp: number, iat: number} | null} */
function claimsOf(token) {
  try {
    return JSON.parse(atob(token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/")));
  } catch {
    return null;
  }
}
