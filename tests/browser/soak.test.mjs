// A flood, for TIDINGS_SOAK_SECONDS (10): the page's heap does not grow, and nothing is lost.

import assert from "node:assert/strict";
import { once } from "node:events";
import http from "node:http";
import { after, test } from "node:test";
import { setTimeout } from "node:timers/promises";

import { startChromium } from "./support/chromium.mjs";
import { Hub } from "./support/hub.mjs";
import { until } from "./support/until.mjs";

const SECONDS = Number(process.env.TIDINGS_SOAK_SECONDS ?? 10);
const EVENTS_PER_SECOND = 30_000;

/** How often a batch is published. */
const STEP_MS = 20;

/** What a page at rest may have more than after the first fifth. Over ten seconds that is nine bytes an event. */
const TOLERATED_BYTES = 2 << 20;

const bounded = { timeout: (3 * SECONDS + 60) * 1000 };
const browser = await startChromium({ after });

test("an iterator that is slow at times misses nothing", bounded, async (t) => {
  const hub = await Hub.start(t);
  const page = await (await browser.newContext()).newPage();
  t.after(() => page.context().close());
  await page.goto(`${hub.url}/healthz`);
  await page.evaluate(async () => {
    Object.assign(globalThis, { taken: 0, wrong: [], gaps: 0 });
    const { EventSource } = await import("/tidings.js");
    const source = new EventSource("/topics/a");
    const begun = new Promise((resolve) => source.addEventListener("start", resolve));
    source.addEventListener("gap", () => gaps++);
    (async () => {
      for await (const { data } of source) {
        if (Number(data.slice(0, data.indexOf(" "))) !== taken && wrong.length < 10) wrong.push([taken, data]);
        globalThis.taken++;
        // Busy for a while, so that the server has to wait.
        if (taken % 50_000 === 0) await new Promise((resolve) => setTimeout(resolve, 300));
      }
    })();
    await begun;
  });
  const underWay = await soak(t, hub, page, async (count) => {
    await until(() => page.evaluate((count) => taken >= count || wrong.length > 0, count), SECONDS + 30);
    assert.deepEqual(await page.evaluate(() => ({ taken, wrong, gaps })), { taken: count, wrong: [], gaps: 0 });
  });
  assert.ok(Math.max(...underWay) < 64 << 20, "nothing piles up in the page while it is busy");
});

test("the console stays as small as it was", bounded, async (t) => {
  const hub = await Hub.start(t);
  const page = await (await browser.newContext({ reducedMotion: "reduce" })).newPage();
  t.after(() => page.context().close());
  await page.goto(hub.url);
  await page.locator("#state[data-state=open]").waitFor();
  await soak(t, hub, page, async (count) => {
    // Where the machine is too busy for it, the hub's memory ends before the page has read all, and it is told of a gap.
    const last = `${count - 1} and`;
    await until(async () => (await page.locator("#live pre").first().textContent()).startsWith(last), SECONDS + 30);
    assert.equal(await page.locator("#live li").count(), 500);
  });
});

/**
 * Floods a page, which is `done` when it has had so many events. At rest it may not be larger than after the first
 * fifth. Resolves to its sizes while events come.
 */
async function soak(t, hub, page, done) {
  const session = await page.context().newCDPSession(page);
  const measure = async () => {
    await session.send("HeapProfiler.collectGarbage");
    const { usedSize, embedderHeapUsedSize = 0, backingStorageSize = 0 } = await session.send("Runtime.getHeapUsage");
    return usedSize + embedderHeapUsedSize + backingStorageSize;
  };
  // What a page has just used is not all garbage at once, and a busy machine takes its time.
  const measureAtRest = async (limit = 0) => {
    let least = Infinity;
    for (let tries = 0; tries < 4 || (least >= limit && tries < 40); tries++) {
      least = Math.min(least, await measure());
      if (tries >= 4) await setTimeout(250);
    }
    return least;
  };
  // A page keeps the bytes that came last, and the strings cut from them, until the next come. On a busy machine a flood leaves
  // megabytes in one piece.
  const settle = async (first) => {
    const last = await trickle(hub, first);
    await done(last);
    return last;
  };
  const warmUp = await flood(hub, SECONDS / 5, 0);
  await done(warmUp.count);
  const begin = await settle(warmUp.count);
  const early = await measureAtRest(Infinity);
  const underWay = [];
  const { count, seconds } = await flood(hub, (SECONDS * 4) / 5, begin, async () => underWay.push(await measure()));
  await done(count);
  await settle(count);
  const late = await measureAtRest(early + TOLERATED_BYTES);
  const inKib = (...sizes) => sizes.map((size) => Math.round(size / 1024)).join(" ");
  t.diagnostic(`${count} events, ${Math.round((count - begin) / seconds)} a second`);
  t.diagnostic(`KiB at rest: ${inKib(early, late)}; while events come: ${inKib(...underWay)}`);
  assert.ok(late - early < TOLERATED_BYTES, `the heap has grown from ${early} to ${late} bytes`);
  return underWay;
}

/** Publishes 600 numbered updates from `first` on, more than the console shows, a few at a time. Resolves to their end. */
async function trickle(hub, first) {
  const end = first + 600;
  for (let count = first; count < end; ) {
    let lines = "";
    for (const last = count + 50; count < last; count++) lines += line(count);
    const headers = { "Content-Type": "application/x-ndjson" };
    const response = await fetch(`${hub.url}/topics/a`, { method: "POST", headers, body: lines });
    assert.equal(response.status, 200);
  }
  return end;
}

const line = (count) => `{"data":"${count} and some more, as events have it"}\n`;

/** Publishes numbered updates from `first` on, as fast as is asked but no faster than the hub takes them. */
async function flood(hub, duration, first, eachSecond = async () => {}) {
  const request = http.request(`${hub.url}/topics/a`, { method: "POST", headers: { "Content-Type": "application/x-ndjson" } });
  const began = Date.now();
  const passed = () => (Date.now() - began) / 1000;
  let count = first;
  let seconds = 0;
  while (passed() < duration) {
    const due = Math.min(first + passed() * EVENTS_PER_SECOND, count + EVENTS_PER_SECOND / 10);
    let lines = "";
    for (; count < due; count++) lines += line(count);
    if (lines && !request.write(lines)) await once(request, "drain");
    if (passed() > seconds + 1) {
      seconds++;
      await eachSecond();
    }
    await setTimeout(STEP_MS);
  }
  request.end();
  const [response] = await once(request, "response");
  response.resume();
  assert.equal(response.statusCode, 200);
  return { count, seconds: passed() };
}
