/** Runs the flow that the command names, against the server that the environment names. */
import { browser } from "./browser.mjs";

try {
  const { default: flow } = await import(`./flows/${process.argv[2]}.mjs`);
  await flow();
} finally {
  await browser.close();
}
