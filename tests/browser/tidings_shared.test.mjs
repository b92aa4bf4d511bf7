// One connection for all tabs, in Chromium with `web/tidings-shared.js`. How it survives what happens to connections is in
// `tidings_reconnect.test.mjs`.

import assert from "node:assert/strict";
import { after, test } from "node:test";

import { startChromium } from "./support/chromium.mjs";
import { CuttingProxy } from "./support/cutting_proxy.mjs";
import { Hub } from "./support/hub.mjs";
import { WAYS, connected, follow, freeze, hear, numbered, publishAll, quick, shareOne } from "./support/tidings_page.mjs";
import { until } from "./support/until.mjs";

const bounded = { timeout: 60_000 };
const flags = ["--retry", "20ms"];
const shared = { name: WAYS.shared };
const browser = await startChromium({ after }, "--host-resolver-rules=MAP insecure.example 127.0.0.1");

/** How soon another tab has to take over, in milliseconds. */
const TAKEOVER_MS = 2000;

test("12 tabs have one connection, all are live, and ordinary requests do not wait", bounded, async (t) => {
  const { hub, pages } = await open(t, 12);
  await publishAll(hub, "a", numbered(0, 20));
  await hear(pages, numbered(0, 20));
  await shareOne(hub);
  const waits = await Promise.all(
    pages.map((page) =>
      page.evaluate(async () => {
        const began = performance.now();
        await (await fetch("/readyz", { cache: "no-store" })).text();
        return performance.now() - began;
      }),
    ),
  );
  assert.ok(Math.max(...waits) < 2000, `${waits} ms`);
  t.diagnostic(`ordinary requests took up to ${Math.round(Math.max(...waits))} ms`);
});

test("12 tabs without sharing take all connections, and ordinary requests wait", bounded, async (t) => {
  const { proxy, context } = await open(t, 0);
  for (let tab = 0; tab < 6; tab++) await connected(await follow(context, proxy.url, "/topics/a"));
  // A page that is open already, of the same site.
  const [page] = context.pages();
  const answer = page.evaluate(async () => (await fetch("/readyz", { cache: "no-store" })).status);
  const waited = await Promise.race([answer, new Promise((resolve) => setTimeout(resolve, 1000, "waits"))]);
  assert.equal(waited, "waits", "or there is nothing to be shared");
  await page.evaluate(() => source.close());
  assert.equal(await answer, 200);
});

for (const [what, leave] of Object.entries({
  "is closed": (page) => page.close(),
  "goes elsewhere": (page) => page.goto("about:blank"),
  "closes its source": (page) => page.evaluate(() => source.close()),
  "is frozen": (page) => freeze(page, { announced: true }),
  "is frozen without a word": (page) => freeze(page, { announced: false }),
})) {
  test(`another tab takes over when the leader ${what}`, bounded, async (t) => {
    const { hub, proxy, pages } = await open(t, 3);
    await publishAll(hub, "a", numbered(0, 10));
    await hear(pages, numbered(0, 10));
    const [leader, ...others] = pages;
    const began = Date.now();
    const thaw = await leave(leader);
    await publishAll(hub, "a", numbered(10, 20));
    await hear(others, numbered(0, 20));
    const took = Date.now() - began;
    assert.ok(took < TAKEOVER_MS, `${took} ms`);
    assert.equal(proxy.streams.length, 2);
    assert.equal(proxy.streams[1].headers["last-event-id"]?.[0], "~", "it goes on where it was");
    t.diagnostic(`${took} ms`);
    if (typeof thaw === "function") {
      await thaw();
      await publishAll(hub, "a", numbered(20, 30));
      await hear(pages, numbered(0, 30));
    }
  });
}

test("what a deposed leader still says is not heard", bounded, async (t) => {
  const { hub, proxy, pages } = await open(t, 2);
  await publishAll(hub, "a", numbered(0, 10));
  await hear(pages, numbered(0, 10));
  await pages[0].evaluate(async (url) => {
    const channel = new BroadcastChannel(`tidings same-origin  ${url}`);
    const { count } = await new Promise((resolve) => {
      channel.onmessage = ({ data }) => data.says === "here" && resolve(data);
    });
    const blocks = [{ type: "message", data: "deposed", id: "deposed", topics: [] }];
    channel.postMessage({ term: "another", blocks, count: count + 1 });
  }, `${proxy.url}/topics/a`);
  await publishAll(hub, "a", numbered(10, 20));
  await hear(pages, numbered(0, 20));
});

test("leaders go one after the other, and every event comes once and in order", bounded, async (t) => {
  const { hub, pages } = await open(t, 6);
  for (let round = 0; pages.length > 1; round++) {
    const published = publishAll(hub, "a", numbered(50 * round, 50 * round + 50));
    await pages.shift().close();
    await published;
  }
  await hear(pages, numbered(0, 250));
});

test("a tab that comes later hears what is new, and one that wants the history all of it", bounded, async (t) => {
  const { hub, proxy, context, pages } = await open(t, 1);
  await publishAll(hub, "a", numbered(0, 10));
  await hear(pages, numbered(0, 10));
  const late = await follow(context, proxy.url, "/topics/a", shared);
  await connected(late);
  const reader = await follow(context, proxy.url, "/topics/a?from=start", shared);
  const second = await follow(context, proxy.url, "/topics/a?from=start", shared);
  await hear([reader, second], numbered(0, 10));
  await publishAll(hub, "a", numbered(10, 20));
  await hear([...pages, reader, second], numbered(0, 20));
  await hear([late], numbered(10, 20));
  assert.equal(proxy.streams.length, 3, "the second reader begins with a connection of its own");
  await publishAll(hub, "a", numbered(20, 30));
  await hear([...pages, reader, second], numbered(0, 30));
});

test("the end of a topic reaches all tabs, and none comes back", bounded, async (t) => {
  const { hub, proxy, pages } = await open(t, 3);
  await hub.publish("a", "the last", "?close=done");
  await hear(pages, ["the last", "close done"]);
  for (const page of pages) await until(() => page.evaluate(() => source.readyState === 2));
  assert.equal(proxy.streams.length, 1);
});

test("a refusal reaches the tab itself", bounded, async (t) => {
  const { proxy, context } = await open(t, 0);
  const page = await follow(context, proxy.url, "/topics/a?from=%00", shared);
  await until(() => page.evaluate(() => source.readyState === 2));
  const [{ status }] = proxy.streams;
  assert.equal(status, 400);
  // What it says can be read.
  const detail = await page.evaluate(async () => {
    const again = new source.constructor(source.url);
    const problem = await new Promise((resolve) => (again.onerror = ({ response }) => resolve(response.json())));
    return problem.detail;
  });
  assert.match(detail, /^[a-z].{20,}/);
});

test("a tab whose consumer is slow holds up nobody, and misses nothing", bounded, async (t) => {
  const { hub, proxy, pages } = await open(t, 3);
  const big = Array.from({ length: 60 }, (_, at) => `${at} ${"x".repeat(100_000)}`);
  // The leader, and one that follows.
  for (const page of pages.slice(0, 2)) {
    await page.evaluate(() => {
      globalThis.taken = [];
      globalThis.go = new Promise((resolve) => (globalThis.start = resolve));
      (async () => {
        for await (const { data } of source) {
          await go;
          taken.push(data.split(" ")[0]);
        }
      })();
    });
  }
  await publishAll(hub, "a", big);
  await hear(pages.slice(2), big);
  const unread = await pages[1].evaluate(() => heard.length);
  assert.ok(unread < 40, `${unread} events of 100 KB are in the slow tab`);
  for (const page of pages.slice(0, 2)) {
    await page.evaluate(() => start());
    await until(() => page.evaluate(() => taken.length === 60));
    assert.deepEqual(await page.evaluate(() => taken), big.map((data) => data.split(" ")[0]));
  }
  t.diagnostic(`${proxy.streams.length} connections`);
});

test("without Web Locks each tab has a connection of its own", bounded, async (t) => {
  const hub = await Hub.start(t, [...flags, "--allow-host", "insecure.example"]);
  const context = await browser.newContext();
  t.after(() => context.close());
  const url = `http://insecure.example:${hub.port}`;
  const pages = [await follow(context, url, "/topics/a", shared), await follow(context, url, "/topics/a", shared)];
  assert.equal(await pages[0].evaluate(() => isSecureContext), false);
  await Promise.all(pages.map(connected));
  await publishAll(hub, "a", numbered(0, 10));
  await hear(pages, numbered(0, 10));
});

test("tabs of different groups do not share", bounded, async (t) => {
  const { hub, proxy, context } = await open(t, 0);
  const pages = [];
  for (const group of ["ann", "bob"]) {
    pages.push(await follow(context, proxy.url, "/topics/a", { ...shared, options: { ...quick, group } }));
  }
  await Promise.all(pages.map(connected));
  assert.equal(proxy.streams.length, 2);
});

/** A hub behind a proxy, and so many tabs that follow the topic `a` together. */
async function open(t, tabs) {
  const hub = await Hub.start(t, flags);
  const proxy = await CuttingProxy.start(t, hub);
  const context = await browser.newContext();
  t.after(() => context.close());
  const pages = [];
  for (let tab = 0; tab < tabs; tab++) pages.push(await follow(context, proxy.url, "/topics/a", shared));
  await Promise.all(pages.map(connected));
  return { hub, proxy, context, pages };
}
