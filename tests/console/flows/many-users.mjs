/** Ten thousand users, most of whom the harness has put there: lists, searches, the palette, and the pages that concern them all. */
import { administrator, check, go, openAs } from "../browser.mjs";

export default async function () {
  const page = await openAs(administrator);
  await page.getByText("1 to 50 of 10,000").waitFor();
  await check(page, "the first of many users");
  await paged(page);
  await searched(page);
  await orphans(page);
  await go(page, "status");
  await page.getByRole("heading", { name: "Findings" }).waitFor();
  await check(page, "the state of a server with many users");
}

async function paged(page) {
  await page.getByRole("link", { name: "Last" }).click();
  await page.getByText("9,951 to 10,000 of 10,000").waitFor();
  await page.getByRole("rowheader", { name: "worker-10000" }).waitFor();
  await check(page, "the last of many users");
  await page.getByRole("link", { name: "First" }).click();
  await page.getByText("1 to 50 of 10,000").waitFor();
  await page.getByRole("button", { name: "System uid" }).click();
  await page.locator("th[aria-sort=ascending]", { hasText: "System uid" }).waitFor();
  await page.getByRole("button", { name: "System uid" }).click();
  await page.getByRole("rowheader").first().getByText("worker-10000").waitFor();
}

async function searched(page) {
  await page.getByRole("searchbox").fill("worker-0999");
  await page.getByText("1 to 10 of 10").waitFor();
  await page.getByRole("button", { name: "Find" }).click();
  await page.getByRole("combobox", { name: "Find a page" }).fill("worker-07777");
  await page.getByRole("option", { name: "worker-07777" }).click();
  await page.getByRole("heading", { level: 1, name: "worker-07777" }).waitFor();
}

async function orphans(page) {
  await go(page, "systems?kind=orphans");
  await page.getByText("100010, which the system does not have").waitFor();
  await check(page, "many accounts without a system user");
  await page.getByRole("searchbox").fill("worker-09990");
  await page.getByText("109990, which the system does not have").waitFor();
}
