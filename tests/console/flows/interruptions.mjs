/** What comes between: a session that ends in the middle of an edit, a lost connection, another tab. */
import assert from "node:assert/strict";
import { api, check, createUser, go, newTab, open, openAs, signIn } from "../browser.mjs";

export default async function () {
  const ann = await createUser("ann");
  await api("POST", "users/me/configurations", { key: "theme", value: "dark" }, ann);
  await revoked(ann);
  await expired(ann);
  await disconnected(ann);
  await twoTabs(ann);
}

async function edit(page, value) {
  await page.getByRole("button", { name: "Edit theme" }).click();
  const editing = page.getByRole("form", { name: "Edit theme" });
  await editing.getByLabel("Value").fill(value);
  return editing.getByRole("button", { name: "Save" });
}

async function revoked(ann) {
  const page = await openAs(ann, "configurations");
  const save = await edit(page, "light");
  await api("DELETE", "users/me/sessions", undefined, ann);
  await save.click();
  await page.getByText("Your session was ended.").waitFor();
  await page.evaluate(() => document.querySelector("dialog").addEventListener("close", () => (globalThis.isClosed = true), { once: true }));
  await page.keyboard.press("Escape");
  await page.keyboard.press("Escape");
  assert.equal(await page.evaluate(() => globalThis.isClosed), undefined);
  await page.evaluate(() => document.querySelector("dialog").close());
  await check(page, "a session that was ended during an edit");
  await again(page, ann, save);
  await page.getByRole("cell", { name: "light" }).waitFor();
}

async function expired(ann) {
  const page = await open();
  await page.clock.install();
  await go(page, "configurations");
  await signIn(page, ann);
  const save = await edit(page, "blue");
  await page.clock.fastForward("25:00:00");
  await page.getByText("Your session has expired.").waitFor();
  await again(page, ann, save);
  await page.getByRole("cell", { name: "blue" }).waitFor();
}

/** Signs in over the page, on which the edit is as it was. */
async function again(page, { username, password }, save) {
  const dialog = page.getByRole("dialog");
  assert.equal(await dialog.getByLabel("User name").inputValue(), username);
  await dialog.getByLabel("Password").fill(password);
  await dialog.getByRole("button", { name: "Sign in" }).click();
  await dialog.waitFor({ state: "detached" });
  await save.click();
}

async function disconnected(ann) {
  const page = await openAs(ann, "account");
  await page.context().setOffline(true);
  await page.getByText("What you see may be out of date.").waitFor();
  await page.getByRole("link", { name: "Configurations" }).click();
  await page.getByText("The server cannot be reached.", { exact: true }).waitFor();
  await check(page, "a lost connection");
  await page.context().setOffline(false);
  await page.getByRole("button", { name: "Try again" }).click();
  await page.getByRole("rowheader", { name: "theme" }).waitFor();
  await page.getByText("What you see may be out of date.").waitFor({ state: "detached" });
}

/** Each tab has a session of its own, and ends only that. */
async function twoTabs(ann) {
  const bob = await createUser("bob");
  const first = await openAs(ann, "account");
  const second = await newTab(first.context());
  await go(second, "account");
  await signIn(second, bob);
  await first.reload();
  await first.getByRole("button", { name: "Sign out" }).waitFor();
  assert.equal(await first.getByRole("definition").first().innerText(), "ann");
  await second.getByRole("button", { name: "Sign out" }).click();
  await second.getByLabel("Password").waitFor();
  await go(first, "configurations");
  await first.getByRole("rowheader", { name: "theme" }).waitFor();
  assert.deepEqual([first.faults, second.faults], [[], []]);
}
