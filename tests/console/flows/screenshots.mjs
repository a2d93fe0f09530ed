/** Takes pictures of every page, in both themes and at two widths, below `target/console`. */
import { mkdirSync } from "node:fs";
import { administrator, api, check, createUser, go, lockOut, open, openAs, settled, url } from "../browser.mjs";

const OUT = new URL("../../../target/console/", import.meta.url).pathname;
const LOOKS = [["light", 1280], ["dark", 1280], ["light", 320], ["dark", 320]];

export default async function () {
  mkdirSync(OUT, { recursive: true });
  const pages = await furnish();
  for (const [colorScheme, width] of LOOKS) await looks(pages, colorScheme, width);
}

/** Enough of everything for each page to have something on it. @returns the path of each page, by its name */
async function furnish() {
  const ann = await createUser("ann", { email: "ann@example.org", user_id: 0, group_id: 0 });
  await createUser("bob", { email: "bob@example.org", is_admin: true, user_id: 54321 });
  await createUser("carol", { suspended: true });
  for (let number = 1; number <= 60; number += 1) await createUser(`worker-${String(number).padStart(2, "0")}`);
  for (const [key, value] of [["theme", "dark"], ["language", "en"], ["layout", "{\n  \"columns\": 3\n}"], ["הגדרה \u202e", "right to left"]]) {
    await api("POST", "users/me/configurations", { key, value });
  }
  const days = (number) => new Date(Date.now() + number * 86_400_000).toISOString();
  const scopes = [["users", "index"], ["users", "show"], ["files", "index"]].map(([controller, action]) => ({ controller, action }));
  const key = await api("POST", "users/me/api_keys", { name: "backup script", expires_at: days(90), allowed_networks: ["127.0.0.0/8"], api_key_scopes: scopes });
  await api("POST", "users/me/api_keys", { name: "monitoring", api_key_scopes: [{ controller: "status", action: "show" }] });
  await fetch(`${url}/api/v2/users?limit=1`, { headers: { Authorization: `Bearer ${key.body.key}` } });
  return {
    account: "account", configurations: "configurations", access: "access", "new-key": "access/new", key: `access/keys/${key.body.id}`,
    users: "users", "new-user": "users/new", user: `users/${ann.id}`, "system-users": "systems", "system-groups": "systems?kind=groups",
    orphans: "systems?kind=orphans", lockouts: "locks", audit: "audit", server: "status", docs: "docs", unknown: "nowhere",
  };
}

async function photograph(page, name) {
  await settled(page);
  await page.screenshot({ path: `${OUT}${name}.png`, fullPage: true });
  await check(page, name).catch((fault) => {
    process.exitCode = 1;
    console.error(fault.message);
  });
}

async function looks(pages, colorScheme, width) {
  const suffix = `${colorScheme}-${width}`;
  const options = { colorScheme, width, height: width < 600 ? 640 : 900, reducedMotion: "reduce" };
  const visitor = await open(options);
  await go(visitor, "");
  await photograph(visitor, `sign-in-${suffix}`);
  await visitor.context().close();
  const page = await openAs(administrator, "", options);
  for (const [name, path] of Object.entries(pages)) {
    if (path === "locks") await lockOut("ann");
    await go(page, path);
    await page.getByRole("heading", { level: 1 }).waitFor();
    await photograph(page, `${name}-${suffix}`);
  }
  await operation(page, suffix);
  await created(page, suffix);
  await page.getByRole("button", { name: "Find" }).click();
  await page.getByRole("combobox").fill("a");
  await page.getByRole("option", { name: "ann" }).waitFor();
  await photograph(page, `palette-${suffix}`);
  await page.keyboard.press("Escape");
  if (width < 600) await page.getByRole("button", { name: "Menu" }).click();
  await photograph(page, `menu-${suffix}`);
  await page.context().close();
}

async function operation(page, suffix) {
  await page.goto(`${url}/docs#/index_users`);
  await page.reload();
  await page.getByRole("button", { name: "Send GET" }).click();
  await page.getByRole("heading", { name: "Response 200" }).waitFor();
  await photograph(page, `operation-${suffix}`);
}

async function created(page, suffix) {
  await go(page, "access/new");
  await page.getByLabel("Name").fill("backup script");
  await page.getByRole("button", { name: "Read only" }).click();
  await photograph(page, `new-key-filled-${suffix}`);
  await page.getByRole("button", { name: "Create key" }).click();
  await page.getByRole("heading", { name: "The key is ready" }).waitFor();
  await photograph(page, `created-key-${suffix}`);
}
