/** Prints how soon the form to sign in is seen, and how soon one can type into it: a line of two numbers, in ms, for each load. */
import { go, open } from "../browser.mjs";

const LOADS = 21;

export default async function () {
  for (let load = 0; load < LOADS; load += 1) {
    // A browser that has loaded nothing before.
    const page = await open();
    await page.addInitScript(observeForm);
    await go(page, "");
    const times = await page.waitForFunction(seen);
    console.log(Object.values(await times.jsonValue()).join(" "));
    await page.context().close();
  }
}

/** Notes when the frame with the form has been handed to the screen. */
function observeForm() {
  const observer = new MutationObserver(() => {
    if (!document.querySelector("input[name=password]")) return;
    observer.disconnect();
    requestAnimationFrame(() => setTimeout(() => (globalThis.typableAt = performance.now())));
  });
  observer.observe(document, { childList: true, subtree: true });
}

function seen() {
  const paint = performance.getEntriesByName("first-contentful-paint")[0]?.startTime;
  const { typableAt } = globalThis;
  return paint !== undefined && typableAt !== undefined && { paint, typableAt };
}
