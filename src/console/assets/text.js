/**
 * Texts, times and sizes as readers see them.
 *
 * @module
 */

import { html, nothing } from "./lit-html.js";
import { strings } from "./strings.js";

// Characters that are not seen or that reorder others. A joiner between two emoji is part of one picture.
const HIDDEN =
  /(?<!\p{Extended_Pictographic}[\u{1F3FB}-\u{1F3FF}\uFE0F]*)\u200D|\u200D(?!\p{Extended_Pictographic})|(?<!\u{1F3F4}[\u{E0020}-\u{E007E}]*)[\u{E0020}-\u{E007F}]|[\p{Cc}\p{Zl}\p{Zp}\u034F\u115F\u1160\u2800\u3164\uFFA0]|(?![\u200D\u{E0020}-\u{E007F}])\p{Cf}/gu;

/**
 * A text that a client gave, as what it is: apart from the direction of its surroundings, and with hidden characters named.
 *
 * @param {string | undefined} text
 * @param {boolean} [hasLines] whether line breaks are to be expected, so that they are not named
 */
export function shown(text, hasLines = false) {
  if (text === undefined) return nothing;
  const parts = [];
  let end = 0;
  for (const match of text.matchAll(HIDDEN)) {
    parts.push(text.slice(end, match.index), hasLines && match[0] === "\n" ? "\n" : named(match[0]));
    end = match.index + match[0].length;
  }
  parts.push(text.slice(end));
  return html`<bdi>${parts}</bdi>`;
}

/**
 * A text as a reader types it who sees it as `shown`.
 *
 * @param {string} text
 */
export const spelled = (text) => text.replaceAll(HIDDEN, codeOf);

/** @param {string} character */
function named(character) {
  if (character === "\n") return html`<span class="hidden-character">↵</span>${"\n"}`;
  return html`<span class="hidden-character">${codeOf(character)}</span>`;
}

/** @param {string} character */
function codeOf(character) {
  return `U+${/** @type {number} */ (character.codePointAt(0)).toString(16).toUpperCase().padStart(4, "0")}`;
}

const EXACT = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "long" });
const DAY = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });
const RELATIVE = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" });
/** @type {[Intl.RelativeTimeFormatUnit, number][]} */
const UNITS = [["year", 31_557_600], ["month", 2_629_800], ["day", 86_400], ["hour", 3600], ["minute", 60]];

/** @param {number} secs from now, negative before it */
export function relative(secs) {
  const unit = UNITS.find(([, length]) => Math.abs(secs) >= length);
  if (unit) return RELATIVE.format(Math.round(secs / unit[1]), unit[0]);
  return secs >= 1 ? RELATIVE.format(Math.round(secs), "second") : strings.times.now;
}

/**
 * A time relative to now, with the exact one on hover.
 *
 * @param {string | undefined} moment
 * @param {unknown} [otherwise]
 */
export function time(moment, otherwise = strings.times.never) {
  if (!moment) return html`<span class="quiet">${otherwise}</span>`;
  const date = new Date(moment);
  return html`<time datetime=${moment} title=${exact(moment)}>${relative((date.getTime() - Date.now()) / 1000)}</time>`;
}

/** @param {string} moment */
export const exact = (moment) => `${EXACT.format(new Date(moment))} (${moment})`;
/** @param {string | number} moment */
export const day = (moment) => DAY.format(new Date(moment));

/** @param {number} bytes */
export function size(bytes) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let power = 0;
  while (bytes >= 1024 && power < units.length - 1) {
    bytes /= 1024;
    power += 1;
  }
  return `${new Intl.NumberFormat(undefined, { maximumFractionDigits: 1 }).format(bytes)} ${units[power]}`;
}

/** A sentence of the server, in which backticks mark code. @param {string} text */
export const marked = (text) => text.split("`").map((part, at) => (at % 2 === 1 ? html`<code>${part}</code>` : part));

/** @param {number} number */
export const count = (number) => new Intl.NumberFormat().format(number);

/** @param {string} text as one word of a shell */
export const quoted = (text) => (/^[\w./:=@-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

/**
 * The command that sends a request.
 *
 * @param {string} method
 * @param {URL | string} url
 * @param {{authorization?: string | null, user?: string, body?: any}} [parts]
 */
export function curl(method, url, { authorization, user, body } = {}) {
  const words = ["curl"];
  if (method !== "GET" && !(method === "POST" && body !== undefined)) words.push("-X", method);
  if (user) words.push("-u", quoted(user));
  if (authorization) words.push("-H", quoted(`Authorization: ${authorization}`));
  if (body instanceof URLSearchParams) {
    for (const [name, value] of body) words.push("--data-urlencode", quoted(`${name}=${value}`));
  } else if (body !== undefined) {
    words.push("-H", quoted("Content-Type: application/json"), "-d", quoted(JSON.stringify(body)));
  }
  return [...words, quoted(String(url))].join(" ");
}
