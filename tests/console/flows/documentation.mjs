/** The API's documentation: without a session, and sending requests with each kind of credential. */
import assert from "node:assert/strict";
import { administrator, api, check, createUser, go, open, openAs } from "../browser.mjs";

export default async function () {
  const page = await open();
  await go(page, "docs");
  await page.getByRole("link", { name: /GET .users.me Displays current user/ }).waitFor();
  await check(page, "the documentation");
  const { paths } = await (await fetch(page.url().replace("docs", "openapi.json"))).json();
  const operations = Object.values(paths).flatMap((methods) => Object.keys(methods)).length;
  assert.equal(await page.locator(".operations a").count(), operations);

  await page.getByLabel("Search operations").fill("create user");
  await page.getByRole("link", { name: /POST .users Creates a new user/ }).click();
  await page.getByRole("heading", { level: 1, name: "Creates a new user." }).waitFor();
  await check(page, "an operation");
  await withoutCredential(page);
  await withKey(page);
  await withForm(page);
  await withSession();
}

async function withoutCredential(page) {
  await page.getByLabel("Credential").selectOption("None");
  await page.getByLabel("Body").fill("{");
  await page.getByRole("button", { name: "Send POST" }).click();
  await page.getByText("is not JSON", { exact: true }).waitFor();
  await page.getByLabel("Body").fill('{"username": "dora", "password": "an elephant in the house"}');
  await page.getByText(/^curl -H 'Content-Type: application\/json' -d/).waitFor();
  await page.getByRole("button", { name: "Send POST" }).click();
  await page.getByRole("heading", { name: "Response 401" }).waitFor();
  await check(page, "a refused request");
  await page.getByLabel("Credential").selectOption("User name and password");
  await page.getByLabel("User name").fill(administrator.username);
  await page.getByLabel("Password").fill(administrator.password);
  await page.getByRole("button", { name: "Send POST" }).click();
  await page.getByRole("heading", { name: "Response 201" }).waitFor();
}

/** A refusal that names a scope leads to a key that has it. */
async function withKey(page) {
  const { body } = await api("POST", "users/me/api_keys", { name: "none" });
  await page.getByLabel("Credential").selectOption("API key");
  await page.getByLabel("API key").fill(body.key);
  await page.getByRole("button", { name: "Send POST" }).click();
  await page.getByRole("heading", { name: "Response 403" }).waitFor();
  assert.match(await page.getByRole("link", { name: "Create a key that may" }).getAttribute("href"), /access\/new\?scope=users%2Fcreate$/);
}

/** The members of a body are the fields of a form where the operation takes one. */
async function withForm(page) {
  const { body } = await api("POST", "users/me/api_keys", { name: "asked about" });
  await go(page, "docs");
  await page.getByLabel("Search operations").fill("introspect");
  await page.getByRole("link", { name: /POST .introspect/ }).click();
  await page.getByRole("heading", { level: 1, name: /^Displays what an API key/ }).waitFor();
  await page.getByLabel("Credential").selectOption("User name and password");
  await page.getByLabel("User name").fill(administrator.username);
  await page.getByLabel("Password").fill(administrator.password);
  await page.getByLabel("Body").fill(JSON.stringify({ token: body.key, token_type_hint: "a b" }));
  await page.getByText(/^curl -u .* --data-urlencode token=lodge_\S+ --data-urlencode 'token_type_hint=a b' /).waitFor();
  await page.getByRole("button", { name: "Send POST" }).click();
  await page.getByRole("heading", { name: "Response 200" }).waitFor();
  assert.match(await page.locator("pre").innerText(), /"active": true/);
  await check(page, "a form");
}

async function withSession() {
  const ann = await createUser("ann");
  const page = await openAs(ann);
  await page.getByRole("link", { name: "Documentation" }).click();
  await page.getByLabel("Search operations").fill("/users/{user_id} displays");
  await page.getByRole("link", { name: /Displays a specific user\./ }).click();
  await page.getByLabel("user_id").fill(String(ann.id));
  await page.getByRole("button", { name: "Send GET" }).click();
  await page.getByRole("heading", { name: "Response 200" }).waitFor();
  assert.match(await page.locator("pre").innerText(), /"username": "ann"/);
  await page.getByLabel("user_id").fill("1");
  await page.getByRole("button", { name: "Send GET" }).click();
  await page.getByRole("heading", { name: "Response 403" }).waitFor();
  assert.equal(await page.getByRole("link", { name: "Create a key that may" }).count(), 0);
  await go(page, "access/new?scope=configurations/index");
  await page.getByRole("region", { name: "What this key can do" }).getByText("Lists all configurations of current user.").waitFor();
  assert.equal(await page.getByText("user configurations").count(), 0);
  await check(page, "a new key of a standard user");
}
