/** A standard user: the account, its configurations, and no way to what administrators do. */
import assert from "node:assert/strict";
import { api, check, createUser, go, openAs } from "../browser.mjs";

export default async function () {
  const ann = await createUser("ann");
  const page = await openAs(ann, "account");
  await check(page, "the account");
  assert.equal(await page.getByRole("link", { name: "Users" }).count(), 0);

  await page.getByRole("textbox", { name: "E-mail" }).fill("no address");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByText("is not valid").waitFor();
  assert.equal(await page.evaluate(() => document.activeElement?.getAttribute("name")), "email");
  await check(page, "an invalid address");
  await page.getByRole("textbox", { name: "E-mail" }).fill("ann@example.org");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByText("Your e-mail address was saved.").waitFor();

  await changedPassword(page, ann);
  await configurations(page, ann);

  for (const path of ["users", "audit", "status", "nowhere"]) {
    await go(page, path);
    await page.getByRole("heading", { level: 1, name: "Not found" }).waitFor();
  }
  await check(page, "an unknown page");
}

async function changedPassword(page, ann) {
  await page.getByLabel("New password").fill("short");
  await page.getByRole("button", { name: "Change password" }).click();
  await page.getByText("is too short: at least 8").waitFor();
  await page.getByRole("button", { name: "Generate" }).click();
  ann.password = await page.getByLabel("New password").inputValue();
  assert.match(ann.password, /^([a-z1-9]{4}-){4}[a-z1-9]{4}$/);
  await page.getByRole("button", { name: "Change password" }).click();
  await page.getByText("Your password was changed.").waitFor();
  assert.equal(await page.getByLabel("New password").inputValue(), "");
  ann.password = "another house of hers";
  await page.getByLabel("New password").fill(ann.password);
  await page.getByRole("button", { name: "Change password" }).click();
  await page.waitForFunction(() => document.querySelector("[name=password]").value === "");
  assert.equal((await api("GET", "users/me", undefined, ann)).status, 200);
}

async function configurations(page, ann) {
  await go(page, "configurations");
  await page.getByText("There are no configurations yet.").waitFor();
  await check(page, "no configurations");
  await page.getByLabel("Key", { exact: true }).fill("theme");
  await page.getByLabel("Value", { exact: true }).fill("dark");
  await page.getByRole("button", { name: "Add" }).click();
  await page.getByRole("rowheader", { name: "theme" }).waitFor();
  await page.getByLabel("Key", { exact: true }).fill("theme");
  await page.getByRole("button", { name: "Add" }).click();
  await page.getByText("has already been taken").waitFor();
  await check(page, "a key that is taken");

  await page.getByRole("button", { name: "Edit theme" }).click();
  const editing = page.getByRole("form", { name: "Edit theme" });
  await editing.getByLabel("Value").fill("light");
  await check(page, "a configuration that is edited");
  await editing.getByRole("button", { name: "Save" }).click();
  await page.getByRole("cell", { name: "light" }).waitFor();
  assert.equal((await api("GET", "users/me/configurations/theme", undefined, ann)).body.value, "light");

  await page.getByRole("searchbox").fill("nothing like it");
  await page.getByText("Nothing matches.").waitFor();
  await page.getByRole("searchbox").fill("THE");
  await page.getByRole("button", { name: "Delete theme" }).click();
  await check(page, "the question before a deletion");
  await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await page.getByText("There are no configurations yet.").waitFor();
}
