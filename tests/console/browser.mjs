/**
 * Drives the console in a real browser: starts Chromium, signs in, and looks for what no page may have: faults that axe-core
 * knows, errors in the browser's console, and requests to other servers.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { request } from "node:http";
import { createRequire } from "node:module";

const TOOLS = new URL("../../target/ci/console/", import.meta.url);
const require = createRequire(TOOLS);
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

export const url = process.env.LODGE_TEST_URL;
export const administrator = { username: "admin", password: process.env.LODGE_TEST_PASSWORD };
const CHROMIUM = process.env.LODGE_TEST_CHROMIUM ?? "/usr/bin/chromium";
/** How long something that is waited for may take before the test fails. */
const TIMEOUT_MS = Number(process.env.LODGE_TEST_TIMEOUT_MS ?? 30_000);

export const browser = await chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox"] });

/** A window of its own, as another person's browser. */
export async function open({ width = 1280, height = 900, ...options } = {}) {
  const context = await browser.newContext({ viewport: { width, height }, locale: "en-GB", timezoneId: "Europe/Berlin", ...options });
  context.setDefaultTimeout(TIMEOUT_MS);
  await context.grantPermissions(["clipboard-read", "clipboard-write"], { origin: url });
  const page = await newTab(context);
  return page;
}

/** Another tab of the same browser. */
export async function newTab(context) {
  const page = await context.newPage();
  page.faults = [];
  page.on("pageerror", (error) => page.faults.push(`error: ${error.stack}`));
  page.on("console", (message) => {
    // A response that the page expects to fail is logged by the browser too.
    const isResponse = message.text().startsWith("Failed to load resource");
    if (["error", "warning"].includes(message.type()) && !isResponse) page.faults.push(`${message.type()}: ${message.text()}`);
  });
  page.on("request", (request) => {
    if (!request.url().startsWith(`${url}/`)) page.faults.push(`request to ${request.url()}`);
  });
  return page;
}

/** Goes to a page of the console. */
export async function go(page, path) {
  await page.goto(path === "docs" ? `${url}/docs` : `${url}/#/${path}`);
}

export async function signIn(page, { username, password } = administrator) {
  await page.getByLabel("User name").fill(username);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("button", { name: "Sign out" }).waitFor();
}

/** Opens a page of the console as that user. */
export async function openAs(user, path = "", options = {}) {
  const page = await open(options);
  await go(page, path);
  await signIn(page, user);
  return page;
}

/** Nothing of what no page may have has happened, and axe-core finds nothing. */
export async function check(page, state) {
  await settled(page);
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 200)).join(" | ")}`);
  assert.deepEqual(found, [], `axe on ${state}`);
  assert.deepEqual(page.faults, [], state);
  const { scrolled, width } = await page.evaluate(() => ({ scrolled: document.documentElement.scrollWidth, width: innerWidth }));
  assert.ok(scrolled <= width, `${state} is ${scrolled} pixels wide in a window of ${width}`);
}

/** Waits until the page has loaded what it shows. */
export async function settled(page) {
  await page.waitForFunction(() => !document.querySelector(".loading"));
  await page.evaluate(() => Promise.all(document.getAnimations().map((animation) => animation.finished)));
}

/** A request to the API, outside the page. */
export async function api(method, path, body, { username, password } = administrator) {
  const response = await fetch(`${url}/api/v2/${path}`, {
    method,
    headers: { Authorization: `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`, "Content-Type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const text = await response.text();
  return { status: response.status, body: text ? JSON.parse(text) : null };
}

/** Locks an account out for half a minute, by failed attempts from many addresses of this machine. */
export async function lockOut(username) {
  const { hostname, port } = new URL(url);
  const headers = { Authorization: `Basic ${Buffer.from(`${username}:a guess`).toString("base64")}` };
  for (let attempt = 0; attempt < 101; attempt += 1) {
    const options = { hostname, port, path: "/api/v2/users/me", headers, localAddress: `127.0.1.${1 + (attempt >> 2)}` };
    await new Promise((resolve, reject) => request(options, (response) => response.resume().on("end", resolve)).on("error", reject).end());
  }
}

/** Creates a standard user. */
export async function createUser(username, members = {}) {
  const user = { username, password: `${username} lives in a house` };
  const created = await api("POST", "users", { ...user, ...members });
  assert.equal(created.status, 201, JSON.stringify(created.body));
  return { ...user, id: created.body.id };
}
