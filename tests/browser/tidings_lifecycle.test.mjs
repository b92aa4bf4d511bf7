// Tabs that Chromium itself freezes, or keeps for the way back, with `web/tidings.js`: every event once and in order.

import assert from "node:assert/strict";
import { test } from "node:test";

import { BareChromium } from "./support/bare_chromium.mjs";
import { Hub } from "./support/hub.mjs";
import { WAYS, connected, hear, listen, numbered, publishAll, quick } from "./support/tidings_page.mjs";
import { until } from "./support/until.mjs";

const bounded = { timeout: 60_000 };

for (const [way, name] of Object.entries(WAYS)) {
  const tabs = way === "shared" ? 3 : 1;

  test(`a tab that the browser freezes hangs up, and goes on where it was, ${way}`, bounded, async (t) => {
    const { hub, pages, chromium } = await open(t, name, tabs);
    await chromium.newPage("about:blank");
    for (let round = 0; round < 3; round++) {
      const published = 20 * round;
      await publishAll(hub, "a", numbered(published, published + 10));
      await hear(pages, numbered(0, published + 10));
      // At first the first tab is the leader, and then another one.
      const frozen = pages[round % tabs];
      await frozen.setLifecycleState("frozen");
      await until(async () => (await frozen.evaluate(() => changes.at(-1))) === "freeze");
      await publishAll(hub, "a", numbered(published + 10, published + 20));
      await hear(pages.filter((page) => page !== frozen), numbered(0, published + 20));
      assert.deepEqual(await frozen.evaluate(() => [heard.length, source.readyState]), [published + 10, 0]);
      await frozen.setLifecycleState("active");
      await hear(pages, numbered(0, published + 20));
      assert.equal(await frozen.evaluate(() => changes.at(-1)), "resume");
    }
  });

  test(`a page that the browser keeps for the way back goes on where it was, ${way}`, bounded, async (t) => {
    const { hub, pages } = await open(t, name, tabs);
    for (let round = 0; round < 3; round++) {
      const published = 20 * round;
      await publishAll(hub, "a", numbered(published, published + 10));
      await hear(pages, numbered(0, published + 10));
      const left = pages[round % tabs];
      await left.show();
      await left.goto(`${hub.url}/readyz`);
      await until(() => left.evaluate(() => location.pathname === "/readyz"));
      await publishAll(hub, "a", numbered(published + 10, published + 20));
      await hear(pages.filter((page) => page !== left), numbered(0, published + 20));
      await left.goBack();
      await until(() => left.evaluate(() => location.pathname === "/healthz" && globalThis.changes !== undefined));
      await hear(pages, numbered(0, published + 20));
      assert.equal(await left.evaluate(() => changes.at(-1)), "pageshow of a page that was kept");
    }
  });
}

/** A hub, and so many tabs that follow the topic `a`, each of which notes in `changes` what the browser does with it. */
async function open(t, name, tabs) {
  const hub = await Hub.start(t, ["--retry", "20ms"]);
  const chromium = await BareChromium.start(t);
  const pages = [];
  for (let tab = 0; tab < tabs; tab++) {
    const page = await chromium.newPage(`${hub.url}/healthz`);
    await until(() => page.evaluate(() => location.pathname === "/healthz" && document.readyState === "complete"));
    await page.evaluate(() => {
      globalThis.changes = [];
      for (const type of ["freeze", "resume"]) document.addEventListener(type, () => changes.push(type));
      addEventListener("pageshow", ({ persisted }) => changes.push(`pageshow of a page that was ${persisted ? "kept" : "loaded"}`));
    });
    await page.evaluate(listen, { hub: hub.url, path: "/topics/a", name, options: quick });
    await connected(page);
    pages.push(page);
  }
  return { hub, chromium, pages };
}
