/** Signing in and out: a wrong password, a lockout, the way back to the page one wanted. */
import assert from "node:assert/strict";
import { administrator, api, check, createUser, go, lockOut, open, openAs, signIn } from "../browser.mjs";

/** How many attempts may fail before the account is locked out at this address. */
const MAX_ATTEMPTS = 20;

export default async function () {
  const ann = await createUser("ann");
  const page = await open();
  await go(page, "configurations?search=theme");
  await check(page, "the form to sign in");

  await page.getByRole("button", { name: "Sign in" }).click();
  assert.equal(await page.getByText("is needed").count(), 2);
  await page.getByLabel("User name").fill("ann");
  await page.getByLabel("Password").fill("not hers");
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByText("The user name or the password is wrong.").waitFor();
  await check(page, "a wrong password");

  await signIn(page, ann);
  await page.getByRole("heading", { level: 1, name: "Configurations" }).waitFor();
  assert.match(page.url(), /#\/configurations\?search=theme$/);
  assert.equal(await page.evaluate(() => localStorage.length + document.cookie.length), 0);
  assert.equal(await page.evaluate(() => sessionStorage.length), 1);

  await page.reload();
  await page.getByRole("heading", { level: 1, name: "Configurations" }).waitFor();
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByLabel("Password").waitFor();
  assert.equal(await page.evaluate(() => sessionStorage.length), 0);
  assert.equal((await api("GET", "users/me/sessions", undefined, ann)).body.count, 0);
  assert.equal(await page.getByRole("navigation").count(), 0);

  await lockedOut(page);
  await administratorSeesTheLockout();
}

async function lockedOut(page) {
  const wait = page.getByRole("button", { name: /^Wait \d+ s$/ });
  for (let attempt = 0; attempt < MAX_ATTEMPTS && (await wait.count()) === 0; attempt += 1) {
    await page.getByLabel("User name").fill("ann");
    await page.getByLabel("Password").fill("guessed");
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.locator(".failure").waitFor();
    await page.locator("button:not([aria-disabled=true])", { hasText: "Sign in" }).or(wait).waitFor();
  }
  await wait.waitFor();
  await check(page, "a lockout");
  await page.getByRole("button", { name: "Sign in" }).waitFor();
}

async function administratorSeesTheLockout() {
  await createUser("bob");
  const page = await openAs(administrator, "locks");
  await lockOut("bob");
  await page.getByRole("button", { name: "Refresh" }).click();
  await page.getByRole("rowheader", { name: "An account from new addresses" }).waitFor();
  await page.getByRole("cell", { name: /^in \d+ seconds?$/ }).first().waitFor();
  await check(page, "lockouts");
  await page.getByRole("button", { name: "Unlock bob" }).click();
  await page.getByText("Nothing is locked out.").or(page.getByRole("rowheader", { name: "An address" })).waitFor();
  assert.equal(await page.getByRole("button", { name: "Unlock bob" }).count(), 0);
  await check(page, "an account that was unlocked");
}
