/** Large text, forced colours, and how soon there is something to see. */
import { administrator, api, check, createUser, go, open, openAs } from "../browser.mjs";

const LOADS = 5;

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
  console.log(`first paint after ${(await firstPaints()).join(", ")} ms`);
}

/** In milliseconds, each in a browser that has loaded nothing before, from the quickest to the slowest. */
async function firstPaints() {
  const paints = [];
  for (let load = 0; load < LOADS; load += 1) {
    const page = await open();
    await go(page, "");
    await page.getByLabel("Password").waitFor();
    const paint = await page.evaluate(() => performance.getEntriesByName("first-contentful-paint")[0]?.startTime);
    paints.push(Math.round(paint));
    await page.context().close();
  }
  return paints.sort((a, b) => a - b);
}
