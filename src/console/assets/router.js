/**
 * Which page the address names: `#/users/7?sort=email` is the page `users/7` with a query.
 *
 * @module
 */

/** @typedef {{segments: string[], query: URLSearchParams}} Route */

/** Whether the API's documentation was loaded, which has an address of its own. */
export const isDocumentation = /\/docs$/.test(location.pathname);

/** @returns {Route} */
export function route() {
  const [path = "", query = ""] = splitOnce(location.hash.replace(/^#\/?/, ""), "?");
  const segments = path.split("/").filter((segment) => segment !== "").map(decoded);
  return { segments: isDocumentation ? ["docs", ...segments] : segments, query: new URLSearchParams(query) };
}

/**
 * The address of a page of the console.
 *
 * @param {string} path
 * @param {Record<string, any>} [query] members without a value are left out
 */
export function href(path, query = {}) {
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== "");
  const text = new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString();
  return `./#/${path}${text ? `?${text}` : ""}`;
}

/** @param {string} path @param {Record<string, any>} [query] */
export function go(path, query) {
  location.assign(href(path, query));
}

/**
 * Keeps the state of a page in its address, without a new entry in the browser's history.
 *
 * @param {string} path
 * @param {Record<string, any>} query
 */
export function keep(path, query) {
  history.replaceState(null, "", href(path, query));
}

/** @param {string} text */
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** @param {string} text @param {string} separator */
function splitOnce(text, separator) {
  const at = text.indexOf(separator);
  return at < 0 ? [text] : [text.slice(0, at), text.slice(at + 1)];
}
