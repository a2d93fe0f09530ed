/** API keys: one that may only list users, its use, its usage, its rotation, its end. */
import assert from "node:assert/strict";
import { administrator, api, check, createUser, go, openAs, url } from "../browser.mjs";

const status = async (key, path = "users") => (await fetch(`${url}/api/v2/${path}`, { headers: { Authorization: `Bearer ${key}` } })).status;

export default async function () {
  const page = await openAs(administrator, "access");
  await page.getByText("There are no API keys yet.").waitFor();
  await check(page, "no keys");

  const key = await created(page);
  assert.deepEqual([await status(key), await status(key, "status")], [200, 403]);
  await used(page, key);
  await rotated(page, key);
  await edited(page);
  await deleted(page);
  await sessions(page);
  await ofAnother(page);
}

async function created(page) {
  await page.getByRole("link", { name: "New API key" }).click();
  await page.getByLabel("Name").fill("backup script");
  await page.getByLabel("Search what it may do").fill("list users");
  await page.keyboard.press("Enter");
  await page.getByRole("button", { name: "Create key" }).click();
  await page.locator(".errors:focus").getByText("Choose at least one scope.").waitFor();
  await check(page, "a new key that may do nothing");
  await page.getByRole("checkbox", { name: /^users \/ index / }).check();
  await page.getByLabel("Another service's scope").fill("Files!");
  await page.keyboard.press("Enter");
  await page.getByText("A scope is a controller and an action").waitFor();
  await page.getByLabel("Another service's scope").fill("files / index");
  await page.keyboard.press("Enter");
  await page.getByRole("checkbox", { name: /^files \/ index/ }).waitFor();
  await check(page, "a new key");
  await page.getByLabel("Networks").fill("nowhere");
  await page.getByRole("button", { name: "Create key" }).click();
  await page.getByText("is not valid").waitFor();
  await page.getByLabel("Networks").fill("127.0.0.0/8, ::1");
  await page.getByRole("button", { name: "Create key" }).click();
  await page.getByRole("heading", { level: 1, name: "The key is ready" }).waitFor();
  await check(page, "a created key");
  await page.getByRole("button", { name: "Copy" }).first().click();
  await page.getByText("Copied.").waitFor();
  const key = await page.evaluate(() => navigator.clipboard.readText());
  const command = await page.getByText(/^curl /).innerText();
  assert.equal(command, `curl -H 'Authorization: Bearer ${key}' ${url}/api/v2/users`);
  const { body } = await api("GET", "users/me/api_keys/1");
  assert.deepEqual(body.api_key_scopes, [{ controller: "users", action: "index" }, { controller: "files", action: "index" }]);
  const days = (Date.parse(body.expires_at) - Date.now()) / 86_400_000;
  assert.ok(days > 89.9 && days < 90.1, body.expires_at);
  return key;
}

async function used(page, key) {
  await page.getByRole("link", { name: "Done" }).click();
  await page.getByText(`lodge_********${key.slice(-4)}`).waitFor();
  await page.getByLabel("Not used for 90 days").check();
  await page.getByText("Nothing matches.").waitFor();
  await page.getByLabel("Not used for 90 days").uncheck();
  await check(page, "a list of keys");
  await page.getByRole("link", { name: "backup script" }).click();
  await page.getByText("It used 1 of 2 scopes.").waitFor();
  await page.getByRole("button", { name: "Show" }).click();
  await page.getByText(key).waitFor();
  await check(page, "a key");
  await page.getByRole("button", { name: "Shrink to what it used" }).click();
  await check(page, "the question before a key is shrunk");
  await page.getByRole("dialog").getByRole("button", { name: "Shrink to what it used" }).click();
  await page.getByText("It used 1 of 1 scope.").waitFor();
}

async function rotated(page, old) {
  await page.getByRole("button", { name: "Rotate" }).click();
  await page.getByRole("heading", { name: "New value" }).waitFor();
  await page.getByText(/The old value is valid for another (01:00:00|00:59:\d\d)\./).waitFor();
  await check(page, "a rotated key");
  const values = await page.locator(".success code").allInnerTexts();
  assert.equal(values[1], old);
  assert.deepEqual([await status(values[0]), await status(old)], [200, 200]);
  await page.getByRole("button", { name: "End it now" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "End it now" }).click();
  await page.getByText("The old value is no longer valid.").waitFor();
  assert.deepEqual([await status(values[0]), await status(old)], [200, 401]);
  assert.equal(await page.locator(".success code").first().innerText(), values[0]);
  await rotatedElsewhere(page, values[0]);
}

/** The old value of a rotation that this page did not make has its time left too. */
async function rotatedElsewhere(page, old) {
  const { body } = await api("POST", "users/me/api_keys/1/rotate", { overlap: 3600 });
  await page.reload();
  await page.getByText(/The old value is valid for another (01:00:00|00:59:\d\d)\./).waitFor();
  await check(page, "a key that was rotated elsewhere");
  await page.getByRole("button", { name: "End it now" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "End it now" }).click();
  await page.getByRole("button", { name: "End it now" }).first().waitFor({ state: "detached" });
  assert.deepEqual([await status(body.key), await status(old)], [200, 401]);
}

async function edited(page) {
  await page.getByRole("button", { name: "Edit" }).click();
  await page.getByLabel("Never").check();
  await page.getByLabel("Networks").fill("");
  await check(page, "a key that is edited");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByText("The key was saved.").waitFor();
  const { body } = await api("GET", "users/me/api_keys/1");
  assert.deepEqual([body.name, body.expires_at, body.allowed_networks], ["backup script", undefined, undefined]);
}

async function deleted(page) {
  await page.getByRole("button", { name: "Delete" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("button", { name: "Delete" }).click();
  await dialog.getByText("This is not the name.").waitFor();
  await check(page, "a name that is typed wrong");
  await dialog.getByRole("textbox").fill("backup script");
  await dialog.getByRole("button", { name: "Delete" }).click();
  await page.getByText("There are no API keys yet.").waitFor();
}

async function sessions(page) {
  const other = await openAs(administrator, "access");
  await page.reload();
  await page.getByText("this one").waitFor();
  await page.getByRole("button", { name: "End all others" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "End all others" }).click();
  await page.getByRole("button", { name: "End all others" }).waitFor({ state: "detached" });
  await go(other, "configurations");
  await other.getByText("Your session was ended.").waitFor();
  await check(other, "a session that was ended");
  await page.getByRole("button", { name: "End", exact: false }).first().click();
  await page.keyboard.press("Escape");
}

async function ofAnother(page) {
  const ann = await createUser("ann");
  await go(page, `users/${ann.id}/keys/new`);
  await page.getByLabel("Name").fill("for ann");
  await page.getByRole("button", { name: "Read only" }).click();
  await page.getByRole("button", { name: "Create key" }).click();
  await page.getByText("Only the owner can show it again.").waitFor();
  await page.getByRole("link", { name: "for ann" }).click();
  await page.getByRole("heading", { name: "Rotate" }).waitFor();
  assert.equal(await page.getByRole("button", { name: "Show" }).count(), 0);
  await check(page, "a key of another user");
}
