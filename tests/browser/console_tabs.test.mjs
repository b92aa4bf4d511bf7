// The console in twelve tabs: over HTTP/1.1 a browser opens six connections to an origin, for all of them together.

import assert from "node:assert/strict";
import { after, test } from "node:test";

import { startChromium } from "./support/chromium.mjs";
import { Hub, root } from "./support/hub.mjs";
import { shareOne } from "./support/tidings_page.mjs";
import { until } from "./support/until.mjs";

const TABS = 12;
const bounded = { timeout: 60_000 };
const browser = await startChromium({ after }, "--host-resolver-rules=MAP insecure.example 127.0.0.1");

const state = (page) => page.locator("#state").textContent();
const isLive = async (page) => (await state(page)) === "watching everything";
const waits = async (page) => (await state(page)) === "waiting for another tab";

test("twelve tabs share one stream", bounded, async (t) => {
  const { hub, pages } = await open(t, "127.0.0.1");
  for (const page of pages) await until(() => isLive(page));
  await hub.publish("news", "to all");
  for (const page of pages) await until(async () => (await page.locator("#live pre").allTextContents()).join() === "to all");
  // Where twelve pages at once are much for the machine, the first to lead is replaced before it has said a word.
  await shareOne(hub);
});

test("without sharing five tabs have a stream, the others explain why they have none, and no request hangs", bounded, async (t) => {
  const { hub, pages } = await open(t, "insecure.example");
  const { live, waiting } = await fiveLive(pages);

  await hub.publish("news", "to five");
  for (const page of live) await until(async () => (await page.locator("#live pre").allTextContents()).join() === "to five");
  const [last] = waiting;
  assert.match(await last.locator("#notice").innerText(), /opens 6 connections .* for all its tabs together.* Close one of them/);
  await last.screenshot({ path: `${root}target/screenshots/console-limited.png` });
  // It is of use without a stream.
  await last.getByRole("button", { name: "Publish", exact: true }).click();
  await until(async () => (await last.locator("#receipt").textContent()) === "published as update 2");
  await last.getByRole("button", { name: "History" }).click();
  await until(async () => (await last.locator("#history pre").allTextContents()).join() === "to five,Hello, world");

  // When a tab is closed, one that waits goes on.
  await live[0].close();
  await until(async () => (await Promise.all(waiting.map(isLive))).filter(Boolean).length === 1);
});

test("tabs that hear of each other too late give their streams back, and miss nothing", bounded, async (t) => {
  // Stands in for a machine that is too slow for twelve pages at once.
  const { hub, pages } = await open(t, "insecure.example", () => {
    const post = BroadcastChannel.prototype.postMessage;
    BroadcastChannel.prototype.postMessage = function (message) {
      if (performance.now() > 2000) post.call(this, message);
      else setTimeout(() => post.call(this, message), 1000);
    };
  });
  const { live, waiting } = await fiveLive(pages);
  await hub.publish("news", "to five");
  for (const page of live) await until(async () => (await page.locator("#live pre").allTextContents()).join() === "to five");
  for (const page of waiting) assert.equal(await page.locator("#live pre").count(), 0);
});

/** Which pages have a stream and which wait for one, when five have. */
async function fiveLive(pages) {
  const live = [];
  const waiting = [];
  await until(async () => {
    live.length = waiting.length = 0;
    for (const page of pages) {
      if (await isLive(page)) live.push(page);
      if (await waits(page)) waiting.push(page);
    }
    return live.length === 5 && waiting.length === 7;
  });
  return { live, waiting };
}

/** Opens the console in twelve tabs, all at once, of a hub that is known as `host`; `prepare` runs first in each. */
async function open(t, host, prepare = () => {}) {
  const hub = await Hub.start(t, ["--allow-host", "insecure.example"]);
  const context = await browser.newContext({ reducedMotion: "reduce" });
  t.after(() => context.close());
  await context.addInitScript(prepare);
  const url = `http://${host}:${hub.port}/`;
  const pages = await Promise.all(Array.from({ length: TABS }, () => context.newPage()));
  await Promise.all(pages.map((page) => page.goto(url)));
  return { hub, pages };
}
