/** Everything by keyboard: signing in, the palette, a dialog, with the focus always seen. */
import assert from "node:assert/strict";
import { administrator, check, createUser, go, open } from "../browser.mjs";

const press = async (page, ...keys) => {
  for (const key of keys) await page.keyboard.press(key);
};
const focused = (page) => page.evaluate(() => document.activeElement?.textContent?.trim() || document.activeElement?.getAttribute("name"));

export default async function () {
  await createUser("ann");
  const page = await open({ colorScheme: "dark", reducedMotion: "reduce" });
  await go(page, "");
  await page.getByLabel("User name").waitFor();
  assert.equal(await focused(page), "username");
  await page.keyboard.type(administrator.username);
  await press(page, "Tab");
  await page.keyboard.type(administrator.password);
  await press(page, "Enter");
  await page.getByRole("heading", { level: 1, name: "Users" }).waitFor();

  await palette(page);
  await skipped(page);
  await dialog(page);
}

async function palette(page) {
  await press(page, "/");
  await page.getByRole("combobox", { name: "Find a page, a key or a user" }).waitFor();
  await page.keyboard.type("confi");
  await page.getByRole("option", { name: "Configurations" }).waitFor();
  await check(page, "the palette");
  await press(page, "Enter");
  await page.getByRole("heading", { level: 1, name: "Configurations" }).waitFor();
  assert.equal(await focused(page), "Configurations");

  await press(page, "Control+k");
  await page.keyboard.type("ann");
  await page.getByRole("option", { name: "ann User" }).waitFor();
  await press(page, "ArrowDown", "ArrowUp", "Enter");
  await page.getByRole("heading", { level: 1, name: "ann" }).waitFor();

  await press(page, "Control+k");
  await page.keyboard.type("no such thing");
  await page.getByText("Nothing matches.").waitFor();
  await press(page, "Enter", "Escape");
  await page.getByRole("combobox", { name: "Find a page, a key or a user" }).waitFor({ state: "detached" });
}

async function skipped(page) {
  await page.reload();
  await page.getByRole("heading", { level: 1, name: "ann" }).waitFor();
  await page.evaluate(() => /** @type {HTMLElement} */ (document.activeElement).blur());
  const link = page.getByRole("link", { name: "Skip to the content" });
  await link.focus();
  await press(page, "Enter");
  assert.equal(await page.evaluate(() => document.activeElement?.tagName), "MAIN");
}

/** The focus stays in a dialog, is seen, and comes back. */
async function dialog(page) {
  await page.getByRole("button", { name: "Delete user" }).focus();
  await press(page, "Enter");
  await page.getByRole("dialog").waitFor();
  for (let number = 0; number < 5; number += 1) {
    await press(page, "Tab");
    const { isInside, outline } = await page.evaluate(() => {
      const element = document.activeElement;
      return { isInside: element === document.body || element?.closest("dialog") !== null, outline: getComputedStyle(element).outlineStyle };
    });
    assert.ok(isInside);
    assert.ok(outline !== "none" || (await page.evaluate(() => document.activeElement === document.body)), outline);
  }
  await press(page, "Escape");
  await page.getByRole("dialog").waitFor({ state: "detached" });
  assert.equal(await focused(page), "Delete user");
}
