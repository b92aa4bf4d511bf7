// Nothing lost and nothing doubled while credentials expire and connections break, in Chromium with `web/tidings.js`.
// TIDINGS_RECONNECTS (30) connections are cut over TIDINGS_EXPIRIES (1) expiries.

import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { setTimeout } from "node:timers/promises";

import { startChromium } from "./support/chromium.mjs";
import { CuttingProxy, afterBytes } from "./support/cutting_proxy.mjs";
import { Hub } from "./support/hub.mjs";
import { WAYS, connected, hear, listen, numbered } from "./support/tidings_page.mjs";
import { Key } from "./support/tokens.mjs";
import { until } from "./support/until.mjs";

const RECONNECTS = Number(process.env.TIDINGS_RECONNECTS ?? 30);
const EXPIRIES = Number(process.env.TIDINGS_EXPIRIES ?? 1);

/** How long a token holds, in seconds. The hub says so a tenth of that before the end, and may be a second late. */
const LIFE = 15;

const bounded = { timeout: 60_000 + 1000 * RECONNECTS + 60_000 * EXPIRIES };
const browser = await startChromium({ after });

describe("every event once", { concurrency: 2 }, () => {
  for (const [way, name] of Object.entries(WAYS)) {
    const tabs = way === "shared" ? 3 : 1;

    test(`through ${RECONNECTS} reconnections and ${EXPIRIES} expiries, ${way}`, bounded, async (t) => {
      const key = await Key.create(t);
      const hub = await Hub.start(t, ["--retry", "20ms", ...key.flags]);
      const proxy = await CuttingProxy.start(t, hub);
      let [random, cuts] = [7, 0];
      proxy.cutting = () => {
        if (proxy.cuts.length >= cuts) return undefined;
        random = (random * 48_271) % 2_147_483_647;
        return afterBytes(500 + (random % 3000));
      };
      const context = await browser.newContext();
      t.after(() => context.close());
      await context.exposeFunction("mint", () => key.mint({ read: ["a"] }, LIFE));
      const pages = [];
      for (let tab = 0; tab < tabs; tab++) pages.push(await follow(context, proxy.url, name));
      await Promise.all(pages.map(connected));

      const published = [];
      const publish = async (count) => {
        const more = numbered(published.length, published.length + count);
        const response = await fetch(`${hub.url}/topics/a`, {
          method: "POST",
          headers: { "Content-Type": "application/x-ndjson", Authorization: `Bearer ${key.mint({ publish: ["a"] })}` },
          body: more.map((data) => `${JSON.stringify({ data })}\n`).join(""),
        });
        assert.equal(response.status, 200, await response.text());
        published.push(...more);
        await until(() => pages[0].evaluate((last) => heard.at(-1) === last, more.at(-1)), 60);
      };
      for (let expiry = 1; expiry <= EXPIRIES; expiry++) {
        cuts = Math.round((RECONNECTS * expiry) / EXPIRIES);
        while (proxy.cuts.length < cuts) await publish(40);
        const told = await pages[0].evaluate(() => told.length);
        while ((await pages[0].evaluate(() => told.length)) === told) await publish(1).then(() => setTimeout(20));
      }
      await hear(pages, published);
      const reasons = await pages[0].evaluate(() => told);
      t.diagnostic(`${published.length} events, ${proxy.cuts.length} cuts, ${proxy.streams.length} streams; told: ${reasons}`);
    });
  }
});

/** A page that follows with a token of its own for each attempt. */
async function follow(context, hub, name) {
  const page = await context.newPage();
  await page.goto(`${hub}/healthz`);
  await page.evaluate(`globalThis.headers = async () => ({ Authorization: "Bearer " + (await mint()) })`);
  await page.evaluate(`(${listen})({ ...${JSON.stringify({ hub, path: "/topics/a", name })}, options: { maxBackoff: 50, headers } })`);
  await page.evaluate(() => {
    globalThis.told = [];
    source.onaccess = ({ reason }) => told.push(reason);
  });
  return page;
}
