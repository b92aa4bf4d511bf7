// The one answer after which an EventSource does not come back.

import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout } from "node:timers/promises";

import { startChromium } from "./support/chromium.mjs";
import { CuttingProxy, behind } from "./support/cutting_proxy.mjs";
import { Hub } from "./support/hub.mjs";
import { until } from "./support/until.mjs";

const RETRY_MS = 100;

test("an EventSource hears that its topic is closed, asks once more, and never again", { timeout: 60_000 }, async (t) => {
  const hub = await Hub.start(t, ["--retry", `${RETRY_MS}ms`]);
  const proxy = await CuttingProxy.start(t, hub);
  const page = await openPage(t, proxy);

  // A cut shows how long it takes to come back when it does.
  proxy.cutting = (number) => (number === 1 ? behind('"}\nid: ') : undefined);
  await follow(page);
  await until(() => proxy.cuts.length === 1);
  const cutAt = Date.now();
  await until(() => proxy.streams.length === 2);
  const comesBackAfter = Date.now() - cutAt;
  assert.ok(comesBackAfter >= RETRY_MS - 20, `came back after ${comesBackAfter} ms`);

  await until(() => heard(page, "start"));
  await hub.publish("builds", "the last", "?close=done");
  await until(async () => (await seen(page)).state === EVENT_SOURCE_CLOSED);

  const watched = 15 * Math.max(comesBackAfter, RETRY_MS);
  await setTimeout(watched);
  const { events, state } = await seen(page);
  assert.deepEqual(events.filter(([type]) => type !== "start"), [["message", "the last"], ["close", "done"]]);
  assert.equal(state, EVENT_SOURCE_CLOSED);
  assert.deepEqual(proxy.streams.map(({ status }) => status), [200, 200, 204]);
  t.diagnostic(`comes back ${comesBackAfter} ms after a cut; did not within ${watched} ms after 204`);
});

test("an EventSource that comes to a closed topic asks once", { timeout: 60_000 }, async (t) => {
  const hub = await Hub.start(t, ["--retry", `${RETRY_MS}ms`]);
  const proxy = await CuttingProxy.start(t, hub);
  const page = await openPage(t, proxy);
  await hub.publish("builds", "the last", "?close=done");

  await follow(page);
  await until(async () => (await seen(page)).state === EVENT_SOURCE_CLOSED);
  await setTimeout(15 * RETRY_MS);
  assert.deepEqual(await seen(page), { events: [], state: EVENT_SOURCE_CLOSED });
  assert.deepEqual(proxy.streams.map(({ status }) => status), [204]);
});

const EVENT_SOURCE_CLOSED = 2;

async function openPage(t, proxy) {
  const page = await (await startChromium(t)).newPage();
  await page.goto(`${proxy.url}/healthz`);
  return page;
}

/** Opens an EventSource that keeps what it hears in the page. */
const follow = (page) =>
  page.evaluate(() => {
    globalThis.events = [];
    globalThis.source = new EventSource("/topics/builds");
    for (const type of ["start", "message", "gap", "close"]) {
      source.addEventListener(type, ({ data }) => events.push([type, data]));
    }
  });

const seen = (page) => page.evaluate(() => ({ events, state: source.readyState }));

const heard = async (page, type) => (await seen(page)).events.some(([heard]) => heard === type);
