/** Administrators: users, the operating system's users, the audit log, the state of the server. */
import assert from "node:assert/strict";
import { administrator, api, check, createUser, go, openAs } from "../browser.mjs";

const USERS = 120;

export default async function () {
  const page = await openAs(administrator);
  await page.getByText("You still use the password from the first start.").waitFor();
  await created(page);
  await changed(page);
  await deleted(page);
  await listed(page);
  await systems(page);
  await audit(page);
  await go(page, "status");
  await page.getByRole("heading", { name: "Findings" }).waitFor();
  await page.getByText("just now").or(page.getByText("minute ago")).first().waitFor();
  await check(page, "the state of the server");
  await firstPassword(page);
}

async function created(page) {
  await page.getByRole("link", { name: "New user" }).click();
  await page.getByRole("button", { name: "Create user" }).click();
  await page.getByText("is needed").first().waitFor();
  await page.getByLabel("User name").fill("carol");
  await page.getByRole("button", { name: "Generate" }).click();
  await page.getByLabel("System user").selectOption({ label: "daemon (1, daemon)" });
  assert.equal(await page.getByLabel("System uid").inputValue(), "1");
  await check(page, "a new user");
  await page.getByRole("button", { name: "Create user" }).click();
  await page.getByRole("heading", { level: 1, name: "carol" }).waitFor();
  const { body } = await api("GET", "users/2");
  assert.deepEqual([body.username, body.user_id, body.group_id, body.is_admin], ["carol", 1, 1, false]);
}

async function changed(page) {
  const form = page.locator("form", { has: page.getByLabel("User name") });
  await form.getByLabel("E-mail").fill("carol@example.org");
  await form.getByLabel("Last day").fill("2099-12-31");
  await form.getByRole("button", { name: "Save" }).click();
  await page.getByText("The user was saved.").waitFor();
  assert.deepEqual((await api("GET", "users/2")).body.expired_at, "2099-12-31T22:59:59.000Z");
  await page.getByLabel("Key", { exact: true }).fill("theme");
  await page.getByRole("button", { name: "Add" }).click();
  await page.getByRole("rowheader", { name: "theme" }).waitFor();
  await check(page, "a user");
  await page.getByRole("button", { name: "Suspend" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Suspend" }).click();
  await page.getByText("This account is suspended").waitFor();
  await check(page, "a suspended user");
  await page.getByRole("button", { name: "Resume" }).click();
  await page.getByText("This account is suspended").waitFor({ state: "detached" });
}

async function deleted(page) {
  await page.getByRole("button", { name: "Delete user" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByText("1 configuration").waitFor();
  await check(page, "the question before a user is deleted");
  await dialog.getByRole("textbox").fill("carol");
  await dialog.getByRole("button", { name: "Delete user" }).click();
  await page.getByRole("heading", { level: 1, name: "Users" }).waitFor();
  assert.equal((await api("GET", "users/2")).status, 404);
}

/** Searches, sorts and pages, all of which the address keeps. */
async function listed(page) {
  const numbers = Array.from({ length: USERS }, (_, number) => `worker-${String(number).padStart(5, "0")}`);
  while (numbers.length > 0) await Promise.all(numbers.splice(0, 4).map((name) => createUser(name)));
  await page.reload();
  await page.getByText(`1 to 50 of ${new Intl.NumberFormat("en-GB").format(USERS + 1)}`).waitFor();
  await page.getByRole("link", { name: "Next" }).click();
  await page.getByText("51 to 100 of").waitFor();
  await page.goBack();
  await page.getByText("1 to 50 of").waitFor();
  await page.getByRole("button", { name: "User name" }).click();
  await page.getByRole("rowheader").first().getByText(`worker-${String(USERS - 1).padStart(5, "0")}`).waitFor();
  await page.getByRole("searchbox").fill("WORKER-0000");
  await page.getByText("1 to 10 of 10").waitFor();
  assert.match(page.url(), /search=WORKER-0000/);
  await page.reload();
  await page.getByText("1 to 10 of 10").waitFor();
  await page.getByLabel("Role").selectOption("Administrators");
  await page.getByText("Nothing matches.").waitFor();
  await check(page, "no user found");
}

async function systems(page) {
  await createUser("orphan", { user_id: 54_321 });
  await go(page, "systems");
  await page.getByRole("searchbox").fill("daemon");
  await page.getByRole("rowheader", { name: "daemon", exact: true }).waitFor();
  await page.getByRole("button", { name: "Accounts without a system user" }).click();
  await page.getByRole("searchbox").fill("orphan");
  await page.getByText("54321, which the system does not have").waitFor();
  await page.getByRole("button", { name: "Groups" }).click();
  await page.getByRole("searchbox").fill("root");
  await page.getByRole("rowheader", { name: "root", exact: true }).waitFor();
  await check(page, "system groups");
}

async function audit(page) {
  await go(page, "audit?action=users+%2F+destroy");
  const row = page.getByRole("row", { name: /users \/ destroy/ });
  await row.getByRole("link", { name: "admin" }).waitFor();
  assert.equal(await row.count(), 1);
  await check(page, "the audit log");
  await page.getByLabel("Live").check();
  const { id } = await createUser("shortlived");
  await api("DELETE", `users/${id}`);
  await page.getByRole("link", { name: "User shortlived" }).waitFor();
  await page.getByLabel("Live").uncheck();
  await ofKeys(page);
}

/** An entry about a key links to the key, one's own or another user's. */
async function ofKeys(page) {
  const ann = await createUser("ann");
  await api("POST", "users/me/api_keys", { name: "by ann" }, ann);
  await api("POST", "users/me/api_keys", { name: "my own" });
  for (const [who, path] of [["ann", `users/${ann.id}/keys/1`], ["admin", "access/keys/2"]]) {
    await go(page, `audit?user=${who}&action=api_keys+%2F+create`);
    const link = page.getByRole("link", { name: /^API key/ });
    await link.waitFor();
    assert.ok((await link.getAttribute("href")).endsWith(`#/${path}`), path);
    await link.click();
    await page.getByRole("heading", { level: 1, name: who === "ann" ? "by ann" : "my own" }).waitFor();
  }
}

async function firstPassword(page) {
  await page.getByRole("link", { name: "Change it now" }).click();
  assert.match(await page.getByLabel("New password").inputValue(), /^([a-z1-9]{4}-){4}/);
  await check(page, "a generated password");
  await page.getByRole("button", { name: "Change password" }).click();
  await page.getByText("Your password was changed.").waitFor();
  assert.equal(await page.getByText("You still use the password").count(), 0);
}
