/** Large text and forced colours. */
import { administrator, api, check, createUser, go, openAs } from "../browser.mjs";

export default async function () {
  await createUser("ann", { email: "ann@example.org" });
  await api("POST", "users/me/api_keys", { name: "backup script" });
  await api("POST", "users/me/configurations", { key: "theme", value: "dark" });
  const page = await openAs(administrator, "access", { forcedColors: "active" });
  for (const path of ["access", "access/new", "access/keys/1", "configurations", "users", "users/2", "audit", "status", "docs"]) {
    await go(page, path);
    await page.getByRole("heading", { level: 1 }).waitFor();
    await page.evaluate(() => document.styleSheets[0].insertRule("html { font-size: 200% !important }"));
    await check(page, `${path} with large text and forced colours`);
  }
}
