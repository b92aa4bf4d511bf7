// A headless Chromium with a profile of its own.

import { chromium } from "playwright-core";

export const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";

/** What keeps it from looking for hosts of its maker. */
export const args = ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"];

/** Starts Chromium, which the end of the test `t` closes. */
export async function startChromium(t, ...more) {
  const browser = await chromium.launch({ executablePath, args: [...args, ...more], chromiumSandbox: false });
  t.after(() => browser.close());
  return browser;
}
