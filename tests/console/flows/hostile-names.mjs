/** Names with markup, hidden characters and other directions are shown as what they are. */
import assert from "node:assert/strict";
import { administrator, api, check, openAs } from "../browser.mjs";

const NAMES = [
  "<script>globalThis.isRun = true</script>",
  "<img src=x onerror=\"globalThis.isRun = true\">",
  "${globalThis.isRun = true}{{isRun}}",
  "javascript:globalThis.isRun=true",
  "\u202egnp.exe",
  "a\u200bb\ufeffc",
  "👩‍👩‍👧 🏴󠁧󠁢󠁥󠁮󠁧󠁿 👍🏽",
  "\u05d0\u05d1\u05d2 123",
  "x".repeat(255),
];

export default async function () {
  for (const name of NAMES) {
    assert.equal((await api("POST", "users/me/configurations", { key: name, value: name })).status, 201, name);
    assert.equal((await api("POST", "users/me/api_keys", { name })).status, 201, name);
  }
  const page = await openAs(administrator, "configurations", { width: 320, height: 640 });
  await page.getByText("9 in all").waitFor();
  await check(page, "hostile configurations");
  const shown = await page.getByRole("rowheader").allInnerTexts();
  assert.deepEqual(shown, NAMES.map((name) => name.replace("\u202e", "U+202E").replace("\u200b", "U+200B").replace("\ufeff", "U+FEFF")));
  for (const path of ["access", "audit"]) {
    await page.goto(page.url().replace(/#.*/, `#/${path}`));
    await page.getByText("globalThis.isRun").first().waitFor();
    await check(page, `hostile names in ${path}`);
  }
  await page.getByRole("button", { name: "Menu" }).click();
  await page.getByRole("link", { name: "Keys and sessions" }).click();
  for (const name of NAMES.slice(0, 2)) {
    await page.getByRole("link", { name }).click();
    await page.getByRole("heading", { level: 1, name }).waitFor();
    await page.getByRole("button", { name: "Delete" }).click();
    await check(page, "the question before a hostile name is deleted");
    await page.keyboard.press("Escape");
    await page.goBack();
  }
  // A name that cannot be typed is typed as it is shown.
  const spelled = "aU+200BbU+FEFFc";
  await page.getByRole("link", { name: spelled }).click();
  await page.getByRole("heading", { level: 1, name: spelled }).waitFor();
  await page.getByRole("button", { name: "Delete" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("textbox").fill(spelled);
  await dialog.getByRole("button", { name: "Delete" }).click();
  await dialog.waitFor({ state: "hidden" });
  await page.getByRole("link", { name: NAMES[0] }).waitFor();
  assert.equal(await page.getByRole("link", { name: spelled }).count(), 0);
  assert.equal(await page.evaluate(() => globalThis.isRun), undefined);
  assert.equal(await page.evaluate(() => document.querySelectorAll("img, iframe, object").length), 0);
}
