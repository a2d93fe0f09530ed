/** The page to sign in at, which needs no script: a person opens a page of a service behind a proxy, and is led there and back. */
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { check, open, url } from "../browser.mjs";

const lodge = process.env.LODGE_TEST_LODGE;
const ann = { username: "ann", password: "ann lives here" };
const WANTED = `${url}/files/a?b=c`;
/** How many attempts may fail before the account is locked out at this address. */
const MAX_ATTEMPTS = 20;

export default async function () {
  await withoutScripts();
  const page = await states();
  await endedElsewhere(page);
  await fromOtherPages(page);
  await lockedOut();
}

/** Signs in at the page that the browser shows. */
async function signIn(page, { username, password }) {
  await page.getByLabel("User name").fill(username);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Sign in" }).click();
}

async function withoutScripts() {
  const page = await open({ javaScriptEnabled: false });
  await page.goto(WANTED);
  assert.match(page.url(), /\/sign-in\?to=/);
  await signIn(page, { ...ann, password: "not hers" });
  await page.getByRole("alert").getByText("The user name or the password is wrong.").waitFor();
  await signIn(page, ann);
  await page.getByText("served").waitFor();
  assert.equal(page.url(), WANTED);

  await page.goto(`${url}/sign-in`);
  await page.getByText("You are signed in as ann.").waitFor();
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByLabel("Password").waitFor();
  await page.goto(WANTED);
  assert.match(page.url(), /\/sign-in\?to=/);
  await signIn(page, ann);
  await page.getByText("served").waitFor();
  assert.deepEqual(page.faults, []);
}

/** Every state of the page, in both themes and in a narrow window. */
async function states() {
  let page;
  for (const options of [{ colorScheme: "dark" }, { width: 320 }]) {
    page = await open(options);
    await page.goto(WANTED);
    await check(page, "the empty form");
    assert.equal(await page.evaluate(() => document.activeElement.id), "username");
    await signIn(page, { ...ann, password: "not hers" });
    await page.getByRole("alert").waitFor();
    await check(page, "a wrong password");
    await signIn(page, ann);
    await page.getByText("served").waitFor();
    assert.equal(await page.evaluate(() => document.cookie), "");
    await page.goto(`${url}/sign-in?to=${encodeURIComponent(WANTED)}`);
    await check(page, "signed in");
    await page.getByRole("link", { name: "Go on to 127.0.0.1" }).click();
    await page.getByText("served").waitFor();
  }
  await page.goto(`${url}/sign-in?to=https://evil.example/`);
  await check(page, "a link that is not allowed");
  return page;
}

async function endedElsewhere(page) {
  await page.goto(WANTED);
  await page.getByText("served").waitFor();
  const credential = Buffer.from(`${ann.username}:${ann.password}`).toString("base64");
  const ended = await fetch(`${lodge}/api/v2/users/me/sessions`, { method: "DELETE", headers: { Authorization: `Basic ${credential}` } });
  assert.equal(ended.status, 204);
  await page.goto(WANTED);
  assert.match(page.url(), /\/sign-in\?to=/);
  await signIn(page, ann);
  await page.getByText("served").waitFor();
}

/** The service's own page may change something; pages of another origin may not, though the browser sends the cookie. */
async function fromOtherPages(page) {
  await page.goto(WANTED);
  assert.equal(await page.evaluate(() => fetch("/files/own", { method: "POST" }).then(({ status }) => status)), 200);
  const form = `<!doctype html><form method="post" action="${url}/files/forged"><button>Send</button></form>`;
  const server = createServer((_, response) => response.setHeader("Content-Type", "text/html").end(form));
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  const other = await page.context().newPage();
  // Of another port the browser sends the cookie, of another site it does not.
  for (const [host, status] of [["127.0.0.1", 403], ["localhost", 401]]) {
    await other.goto(`http://${host}:${port}/`);
    const answered = other.waitForResponse(`${url}/files/forged`);
    await other.getByRole("button").click();
    assert.equal((await answered).status(), status, host);
    await other.goto(`http://${host}:${port}/`);
    const socket = (address) => new Promise((resolve) => {
      const opened = new WebSocket(address);
      opened.onopen = () => resolve("open");
      opened.onerror = () => resolve("refused");
    });
    assert.equal(await other.evaluate(socket, `${url.replace("http:", "ws:")}/files/forged`), "refused", host);
  }
  server.close();
}

async function lockedOut() {
  const page = await open();
  await page.goto(`${url}/sign-in`);
  const lockout = page.getByText(/^Too many attempts have failed\. Try again in \d+ seconds?\.$/);
  for (let attempt = 0; attempt < MAX_ATTEMPTS && (await lockout.count()) === 0; attempt += 1) {
    await signIn(page, { ...ann, password: "guessed" });
    await page.getByRole("alert").waitFor();
  }
  await lockout.waitFor();
  await check(page, "a lockout");
}
