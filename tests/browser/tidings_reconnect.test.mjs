// Every event once and in order, in Chromium with `web/tidings.js`, through all faults of the connection.

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";

import { startChromium } from "./support/chromium.mjs";
import { CuttingProxy, afterBytes } from "./support/cutting_proxy.mjs";
import { Hub } from "./support/hub.mjs";
import { startSite } from "./support/site.mjs";
import { WAYS, connected, follow, freeze, hear, numbered, publishAll, quick } from "./support/tidings_page.mjs";
import { until } from "./support/until.mjs";

const bounded = { timeout: 60_000 };
const flags = ["--retry", "20ms"];
const browser = await startChromium({ after });

for (const [way, name] of Object.entries(WAYS)) {
  const tabs = way === "shared" ? 3 : 1;

  test(`cut 100 times, ${way}`, bounded, async (t) => {
    const hub = await Hub.start(t, flags);
    const proxy = await CuttingProxy.start(t, hub);
    let random = 7;
    proxy.cutting = () => {
      if (proxy.cuts.length >= 100) return undefined;
      random = (random * 48_271) % 2_147_483_647;
      // Behind the head: one without a type is none of a stream.
      return afterBytes(400 + (random % 3000));
    };
    const pages = await open(t, tabs, proxy.url, { name });
    const published = [];
    while (proxy.cuts.length < 100) {
      assert.ok(published.length < 20_000, `${proxy.cuts.length} cuts`);
      const more = numbered(published.length, published.length + 40);
      await publishAll(hub, "a", more);
      published.push(...more);
      await until(() => pages[0].evaluate((last) => heard.at(-1) === last, more.at(-1)));
    }
    await hear(pages, published);
    t.diagnostic(`${published.length} events, ${proxy.cuts.length} cuts, ${proxy.streams.length} requests`);
  });

  test(`the hub restarted 5 times, ${way}`, bounded, async (t) => {
    const data = await mkdtemp(join(tmpdir(), "tidings-"));
    t.after(() => rm(data, { recursive: true }));
    let hub = await Hub.start(t, [...flags, "--data", data]);
    const pages = await open(t, tabs, hub.url, { name });
    const published = [];
    for (let round = 0; round <= 5; round++) {
      if (round > 0) {
        await hub.stop();
        hub = await Hub.start(t, [...flags, "--data", data], hub.port);
      }
      // Some while nobody is back yet, some while they are.
      for (const size of [10, 10]) {
        const more = numbered(published.length, published.length + size);
        await publishAll(hub, "a", more);
        published.push(...more);
        if (size === 10) await until(() => pages[0].evaluate((count) => heard.length >= count, published.length));
      }
    }
    await hear(pages, published);
  });

  test(`offline and online again, ${way}`, bounded, async (t) => {
    // Only coming online brings it back in time.
    const hub = await Hub.start(t, ["--retry", "60s"]);
    const proxy = await CuttingProxy.start(t, hub);
    // The browser only keeps new connections from being made, so the proxy does away with the old one.
    let isOffline = false;
    proxy.cutting = () => (received) => (isOffline ? received.length : -1);
    const pages = await open(t, tabs, proxy.url, { name });
    for (let round = 0; round < 3; round++) {
      await publishAll(hub, "a", numbered(20 * round, 20 * round + 10));
      await hear(pages, numbered(0, 20 * round + 10));
      isOffline = true;
      await pages[0].context().setOffline(true);
      await publishAll(hub, "a", numbered(20 * round + 10, 20 * round + 20));
      await until(() => pages[0].evaluate(() => source.readyState === 0 && !navigator.onLine));
      isOffline = false;
      await pages[0].context().setOffline(false);
      await hear(pages, numbered(0, 20 * round + 20));
    }
  });

  for (const announced of [true, false]) {
    test(`frozen ${announced ? "" : "without a word "}and thawed, ${way}`, bounded, async (t) => {
      const hub = await Hub.start(t, flags);
      const pages = await open(t, tabs, hub.url, { name });
      for (let round = 0; round < 3; round++) {
        await publishAll(hub, "a", numbered(20 * round, 20 * round + 10));
        await hear(pages, numbered(0, 20 * round + 10));
        // At first the first tab is the leader, and then another one.
        const frozen = pages[round % tabs];
        const thaw = await freeze(frozen, { announced });
        await publishAll(hub, "a", numbered(20 * round + 10, 20 * round + 20));
        await hear(pages.filter((page) => page !== frozen), numbered(0, 20 * round + 20));
        await thaw();
        await hear(pages, numbered(0, 20 * round + 20));
      }
      if (announced) assert.ok(await pages[0].evaluate(() => opened > 1), "a frozen tab lets go of its connection");
    });
  }

  test(`from another origin with credentials, ${way}`, bounded, async (t) => {
    const site = await startSite(t);
    const hub = await Hub.start(t, [...flags, "--allow-origin", site]);
    const proxy = await CuttingProxy.start(t, hub);
    proxy.cutting = (number) => (number < 20 ? afterBytes(700 + 37 * number) : undefined);
    const context = await newContext(t);
    await context.addCookies([{ name: "who", value: "me", url: proxy.url }]);
    const options = { ...quick, withCredentials: true };
    const pages = [];
    for (let tab = 0; tab < tabs; tab++) pages.push(await follow(context, proxy.url, "/topics/a", { name, options, at: site }));
    await Promise.all(pages.map(connected));
    const published = [];
    while (proxy.streams.length < 20) {
      const more = numbered(published.length, published.length + 10);
      await publishAll(hub, "a", more);
      published.push(...more);
      await until(() => pages[0].evaluate((last) => heard.at(-1) === last, more.at(-1)));
    }
    await hear(pages, published);
    for (const { method, headers } of proxy.streams) {
      assert.equal(headers.origin, site);
      assert.ok(method === "OPTIONS" || /who=me/.test(headers.cookie));
    }
  });
}

test("a page that is left and returned to goes on where it was", bounded, async (t) => {
  const hub = await Hub.start(t, flags);
  const [page] = await open(t, 1, hub.url, {});
  await publishAll(hub, "a", numbered(0, 10));
  await hear([page], numbered(0, 10));
  // What the browser does when it keeps a page for the way back, or throws it away.
  await page.evaluate(() => dispatchEvent(new PageTransitionEvent("pagehide", { persisted: true })));
  await publishAll(hub, "a", numbered(10, 20));
  assert.equal(await page.evaluate(() => source.readyState), 0);
  await page.evaluate(() => dispatchEvent(new PageTransitionEvent("pageshow", { persisted: true })));
  await hear([page], numbered(0, 20));
});

test("a hidden tab stays connected", bounded, async (t) => {
  const hub = await Hub.start(t, flags);
  const proxy = await CuttingProxy.start(t, hub);
  const [page] = await open(t, 1, proxy.url, {});
  await page.evaluate(() => {
    Object.defineProperty(document, "hidden", { value: true });
    document.dispatchEvent(new Event("visibilitychange"));
  });
  await publishAll(hub, "a", numbered(0, 10));
  await hear([page], numbered(0, 10));
  assert.equal(proxy.streams.length, 1);
});

test("topics are added and removed without loss", bounded, async (t) => {
  const hub = await Hub.start(t, flags);
  const context = await newContext(t);
  const page = await follow(context, hub.url, "/topics", { options: { ...quick, topics: ["a"] } });
  await page.evaluate(() => {
    globalThis.topics = [];
    source.addEventListener("message", (event) => topics.push(...event.topics));
  });
  await connected(page);
  const publisher = (async () => {
    for (let number = 0; number < 300; number++) {
      for (const topic of ["a", "b", "c/d"]) await hub.publish(topic, `${topic} ${number}`);
    }
  })();
  for (const topics of [["a", "b"], ["a"], ["a", "c/*"], ["c/*", "a", "b"]]) {
    await page.evaluate((topics) => (source.topics = topics), topics);
    const last = topics.at(-1)[0];
    await page.evaluate(() => (heard.mark = heard.length));
    await until(() => page.evaluate((last) => heard.slice(heard.mark).some((data) => data[0] === last), last));
  }
  await publisher;
  await until(() => page.evaluate(() => ["a", "b", "c/d"].every((topic) => heard.includes(`${topic} 299`))));
  const heard = await page.evaluate(() => ({ data: [...globalThis.heard], topics }));
  assert.deepEqual(heard.data.filter((data) => data[0] === "a"), Array.from({ length: 300 }, (_, at) => `a ${at}`));
  assert.deepEqual(heard.topics, heard.data.map((data) => data.split(" ")[0]));
  assert.equal(new Set(heard.data).size, heard.data.length, "nothing twice");
});

test("it works in a worker", bounded, async (t) => {
  const hub = await Hub.start(t, flags);
  const page = await (await newContext(t)).newPage();
  await page.goto(`${hub.url}/healthz`);
  await page.evaluate(() => {
    const code = `
      const { EventSource } = await import("${location.origin}/tidings.js");
      const source = new EventSource("${location.origin}/topics/a");
      source.addEventListener("start", () => postMessage("start"));
      for await (const { data } of source) postMessage(data);`;
    globalThis.heard = [];
    const worker = new Worker(URL.createObjectURL(new Blob([code], { type: "text/javascript" })), { type: "module" });
    worker.onmessage = ({ data }) => heard.push(data);
  });
  await until(() => page.evaluate(() => heard.length === 1));
  await publishAll(hub, "a", numbered(0, 10));
  await hear([page], ["start", ...numbered(0, 10)]);
});

/** Opens so many tabs of the hub's own origin that follow the topic `a`, and waits until they are connected. */
async function open(t, tabs, url, options) {
  const context = await newContext(t);
  const pages = [];
  for (let tab = 0; tab < tabs; tab++) pages.push(await follow(context, url, "/topics/a", options));
  await Promise.all(pages.map(connected));
  return pages;
}

async function newContext(t) {
  const context = await browser.newContext();
  t.after(() => context.close());
  return context;
}
