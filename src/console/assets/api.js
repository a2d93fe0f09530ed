/**
 * The client of the API: sends one request and returns its reply, or throws a {@link Failure}.
 *
 * @module
 */

/** Where the API is: beside this page, also below a path of a proxy. */
export const API = new URL("api/v2/", document.baseURI);
const REQUEST_TIMEOUT_MS = 60_000;

/** @typedef {{status: number, body: any, headers: Headers}} Reply */
/** @typedef {{query?: Record<string, any>, body?: any, authorization?: string | null, signal?: AbortSignal}} Options */
/** @typedef {{error: string, value?: string, count?: number}} Violation */

/** A request without success. Its `status` is 0 where no response came. */
export class Failure extends Error {
  /**
   * @param {number} status
   * @param {any} body
   * @param {Headers} [headers]
   */
  constructor(status, body, headers) {
    super(body?.error ?? `${status}`);
    this.status = status;
    this.body = body;
    this.headers = headers ?? new Headers();
    /** @type {Record<string, Violation[]>} What is wrong with each attribute of a record. */
    this.details = body?.details ?? {};
    /** @type {string[]} */
    this.messages = body?.messages ?? [];
    this.retryAfterSecs = Number(headers?.get("Retry-After") ?? 0);
    this.requestId = headers?.get("X-Request-Id") ?? null;
  }
}

/** What the session adds to requests, and learns from their failures. */
export const hooks = {
  /** @type {() => string | null} */
  authorization: () => null,
  /** @type {(authorization: string | null) => void} */
  refused: () => {},
  /** @type {(isReachable: boolean) => void} */
  reached: () => {},
};

/**
 * A path whose values are encoded.
 *
 * @param {TemplateStringsArray} texts
 * @param {...(string | number)} values
 */
export function path(texts, ...values) {
  return String.raw({ raw: texts }, ...values.map((value) => encodeURIComponent(value)));
}

/**
 * The address of an operation.
 *
 * @param {string} path
 * @param {Record<string, any>} [query] members without a value are left out
 */
export function address(path, query = {}) {
  const url = new URL(path, API);
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== null && value !== "") url.searchParams.set(name, value);
  }
  return url;
}

/**
 * @param {string} method
 * @param {string} path
 * @param {Options} [options] without `authorization` the session's is sent
 * @returns {Promise<Reply>}
 */
export async function send(method, path, options = {}) {
  const authorization = options.authorization === undefined ? hooks.authorization() : options.authorization;
  const response = await transfer(address(path, options.query), method, authorization, options);
  const text = await readText(response);
  const reply = { status: response.status, body: parsed(text), headers: response.headers };
  if (response.ok) return reply;
  if (response.status === 401) hooks.refused(authorization);
  throw new Failure(response.status, reply.body, response.headers);
}

/** @param {string} path @param {Record<string, any>} [query] */
export const get = async (path, query) => (await send("GET", path, { query })).body;
/** @param {string} path @param {any} [body] */
export const post = async (path, body) => (await send("POST", path, { body })).body;
/** @param {string} path @param {any} body */
export const put = async (path, body) => (await send("PUT", path, { body })).body;
/** @param {string} path @param {Record<string, any>} [query] */
export const destroy = async (path, query) => (await send("DELETE", path, { query })).body;

/**
 * All records of a list, read in pages.
 *
 * @param {string} path
 * @param {string} collection
 * @param {Record<string, any>} [query]
 */
export async function all(path, collection, query = {}) {
  const records = [];
  for (;;) {
    const page = await get(path, { ...query, limit: 1000, offset: records.length });
    records.push(...page[collection]);
    if (page[collection].length === 0 || records.length >= page.count) return records;
  }
}

/** @param {URL} url @param {string} method @param {string | null} authorization @param {Options} options */
async function transfer(url, method, authorization, { body, signal }) {
  /** @type {Record<string, string>} */
  const headers = {};
  if (authorization) headers.Authorization = authorization;
  const isForm = body instanceof URLSearchParams;
  // The browser declares a form itself.
  if (body !== undefined && !isForm) headers["Content-Type"] = "application/json";
  const text = body === undefined || isForm ? body : JSON.stringify(body);
  const timeout = AbortSignal.timeout(REQUEST_TIMEOUT_MS);
  try {
    const response = await fetch(url, {
      method,
      headers,
      body: text,
      signal: signal ?? timeout,
      // Nothing that the browser remembers, so that it never shows a dialog for passwords of its own.
      credentials: "omit",
      cache: "no-store",
      redirect: "error",
      referrerPolicy: "no-referrer",
    });
    hooks.reached(true);
    return response;
  } catch (error) {
    if (signal?.aborted) throw error;
    hooks.reached(false);
    throw new Failure(0, null);
  }
}

/** @param {Response} response */
async function readText(response) {
  try {
    return await response.text();
  } catch {
    throw new Failure(0, null);
  }
}

/** @param {string} text */
function parsed(text) {
  try {
    return text === "" ? null : JSON.parse(text);
  } catch {
    return null;
  }
}
