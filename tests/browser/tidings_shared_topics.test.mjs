// One connection for tabs that follow different topics, in Chromium with `web/tidings-shared.js`.

import assert from "node:assert/strict";
import { after, test } from "node:test";

import { startChromium } from "./support/chromium.mjs";
import { CuttingProxy, afterBytes } from "./support/cutting_proxy.mjs";
import { Hub } from "./support/hub.mjs";
import { WAYS, connected, follow, hear, numbered, publishAll, quick, shareOne } from "./support/tidings_page.mjs";
import { until } from "./support/until.mjs";

const bounded = { timeout: 60_000 };
const browser = await startChromium({ after });

const TAKEOVER_MS = 2000;

const TWELVE = Array.from({ length: 12 }, (_, number) => [`t/${number}`]);

test("12 tabs with 12 topics have one connection, and each hears its own", bounded, async (t) => {
  const { hub, pages } = await open(t, TWELVE);
  await hearOwn(hub, pages);
  // What it comes to is a place for all topics.
  const places = await Promise.all(pages.map((page) => page.evaluate(() => source.lastEventId)));
  assert.equal(new Set(places).size, 1);
});

test("12 tabs come to one connection where messages and answers are late", bounded, async (t) => {
  const { hub, proxy, context, pages } = await open(t, []);
  await context.addInitScript(delay, 400);
  for (const topics of TWELVE) pages.push(await followTopics(context, proxy, topics));
  await hearOwn(hub, pages);
});

test("12 tabs that begin in the history do not keep each other from it", bounded, async (t) => {
  const { hub, proxy, context } = await open(t, []);
  for (const [topic] of TWELVE) await publishAll(hub, topic, numbered(0, 20));
  const pages = await Promise.all(TWELVE.map((topics) => followTopics(context, proxy, topics, {}, "/topics?from=start")));
  await hearOwn(hub, pages, numbered(0, 20));
});

test("topics are told by name and by pattern", bounded, async (t) => {
  const { hub, pages } = await open(t, [["a/b"], ["a/*"], ["*"], ["a", "c"]]);
  for (const topic of ["a", "a/b", "a/b/c", "c", "d"]) await hub.publish(topic, topic);
  for (const [at, expected] of [["a/b"], ["a/b", "a/b/c"], ["a", "a/b", "a/b/c", "c", "d"], ["a", "c"]].entries()) {
    await hear([pages[at]], expected);
  }
  await shareOne(hub);
});

test("a tab that comes later hears what is new, also where its topics or the log were silent", bounded, async (t) => {
  const { hub, proxy, context, pages } = await open(t, [["a"]]);
  await publishAll(hub, "b", numbered(0, 10));
  const late = await followTopics(context, proxy, ["b"]);
  await connected(late);
  const second = await followTopics(context, proxy, ["c"]);
  await connected(second);
  await shareOne(hub);
  for (const topic of ["a", "b", "c"]) await publishAll(hub, topic, numbered(10, 20));
  await hear([...pages, late, second], numbered(10, 20));
});

test("each tab is told where it starts", bounded, async (t) => {
  const { proxy, context } = await open(t, [["a"]]);
  const page = await followTopics(context, proxy, ["b"], { lastEventId: "" });
  await connected(page);
  const place = await page.evaluate(async (url) => {
    const source = new globalThis.source.constructor(url, { topics: ["c"] });
    const { data, lastEventId } = await new Promise((resolve) => source.addEventListener("start", resolve));
    return { said: JSON.parse(data).id, lastEventId };
  }, `${proxy.url}/topics`);
  assert.equal(place.said, place.lastEventId);
  assert.equal(place.said[0], "~");
});

test("a tab that is behind catches up by itself, and then joins", bounded, async (t) => {
  const { hub, proxy, context, pages } = await open(t, [["a"]]);
  const place = await pages[0].evaluate(() => source.lastEventId);
  for (let round = 0; round < 5; round++) {
    await publishAll(hub, "b", numbered(100 * round, 100 * round + 100));
    await publishAll(hub, "a", numbered(100 * round, 100 * round + 100));
  }
  await hear(pages, numbered(0, 500));
  const behind = await followTopics(context, proxy, ["b"], { lastEventId: place });
  let published = 500;
  const publisher = (async () => {
    for (; published < 800; published += 10) await publishAll(hub, "b", numbered(published, published + 10));
  })();
  await publisher;
  await hear([behind], numbered(0, 800));
  await shareOne(hub);
  await publishAll(hub, "b", numbered(800, 810));
  await hear([behind], numbered(0, 810));
  await hear(pages, numbered(0, 500));
});

test("tabs come, go, and change their topics while all is busy, and each event comes once and in order", bounded, async (t) => {
  const { hub, proxy, context, pages } = await open(t, [["a"], ["b"], ["a", "b"]]);
  let isOver = false;
  const counts = { a: 0, b: 0, c: 0 };
  const publisher = (async () => {
    for (; !isOver; await new Promise(setImmediate)) {
      for (const topic of ["a", "b", "c"]) await hub.publish(topic, `${topic} ${counts[topic]++}`);
    }
  })();
  const later = [];
  for (const topics of [["c"], ["c", "a"], ["b"], ["b", "c"]]) {
    const page = await followTopics(context, proxy, topics);
    later.push({ page, topics });
    await until(() => page.evaluate(() => heard.length > 20));
    // The tabs that were here first go on, with what they have and more.
    await pages[1].evaluate((more) => (source.topics = ["b", more]), later.length % 2 ? "c" : "a");
  }
  // The leader goes too.
  await pages[0].close();
  await until(() => pages[2].evaluate((before) => heard.length > before, 0));
  const marks = await Promise.all(later.map(({ page }) => page.evaluate(() => heard.length)));
  for (const [at, { page }] of later.entries()) await until(() => page.evaluate((mark) => heard.length > mark + 50, marks[at]));
  isOver = true;
  await publisher;

  const followed = [{ page: pages[1], topics: ["b"] }, { page: pages[2], topics: ["a", "b"] }, ...later];
  for (const { page, topics } of followed) {
    for (const topic of topics) {
      const last = `${topic} ${counts[topic] - 1}`;
      await until(() => page.evaluate((last) => heard.includes(last), last));
      const heard = (await page.evaluate(() => heard)).filter((data) => data.startsWith(topic));
      const first = Number(heard[0].split(" ")[1]);
      const expected = Array.from({ length: counts[topic] - first }, (_, number) => `${topic} ${first + number}`);
      assert.deepEqual(heard, expected, `${topics}`);
    }
  }
  await shareOne(hub);
  t.diagnostic(`${counts.a} events each, ${proxy.streams.filter(isStream).length} connections one after the other`);
});

test("cut 100 times, with different topics", { timeout: 180_000 }, async (t) => {
  const { hub, proxy, pages } = await open(t, [["a"], ["b"], ["a", "b"]]);
  let random = 7;
  proxy.cutting = () => {
    random = (random * 48_271) % 2_147_483_647;
    return proxy.cuts.length < 100 ? afterBytes(500 + (random % 3000)) : undefined;
  };
  // The connections that there are already are not cut.
  await pages[0].evaluate(() => (source.topics = ["a", "d"]));
  const published = { a: [], b: [] };
  while (proxy.cuts.length < 100) {
    assert.ok(published.a.length < 20_000, `${proxy.cuts.length} cuts`);
    for (const topic of ["a", "b"]) {
      const more = numbered(published[topic].length, published[topic].length + 40).map((data) => `${topic} ${data}`);
      await publishAll(hub, topic, more);
      published[topic].push(...more);
    }
    for (const [page, topic] of [[pages[0], "a"], [pages[1], "b"], [pages[2], "b"]]) {
      // On a busy machine a round has been seen to take ten seconds: some connections are cut before they bring anything.
      await until(() => page.evaluate((last) => heard.at(-1) === last, published[topic].at(-1)), 60);
    }
  }
  await hear([pages[0]], published.a);
  await hear([pages[1]], published.b);
  const both = await pages[2].evaluate(() => heard);
  for (const topic of ["a", "b"]) assert.deepEqual(both.filter((data) => data[0] === topic), published[topic]);
  assert.equal(both.length, published.a.length + published.b.length);
  t.diagnostic(`${both.length} events, ${proxy.cuts.length} cuts`);
});

test("updates with IDs of their own come once", bounded, async (t) => {
  const { hub, proxy, context, pages } = await open(t, [["a"]]);
  for (let number = 0; number < 5; number++) await hub.publish("a", `a ${number}`, `?id=own-a${number}`);
  await hear(pages, Array.from({ length: 5 }, (_, number) => `a ${number}`));
  const late = await followTopics(context, proxy, ["b"]);
  await connected(late);
  for (let number = 0; number < 5; number++) {
    await hub.publish("b", `b ${number}`, `?id=own-b${number}`);
    await hub.publish("a", `a ${number + 5}`);
  }
  await hear([late], Array.from({ length: 5 }, (_, number) => `b ${number}`));
  await hear(pages, Array.from({ length: 10 }, (_, number) => `a ${number}`));
  await shareOne(hub);
});

test("what comes in envelopes is not mixed", bounded, async (t) => {
  const { hub, proxy, context } = await open(t, []);
  const pages = [];
  for (const topic of ["a", "b"]) pages.push(await followTopics(context, proxy, [topic], {}, "/topics?envelope=message"));
  await Promise.all(pages.map(connected));
  for (const topic of ["a", "b"]) await hub.publish(topic, topic);
  for (const [at, topic] of ["a", "b"].entries()) {
    await until(() => pages[at].evaluate(() => heard.length > 0));
    assert.deepEqual(await pages[at].evaluate(() => heard.map((data) => JSON.parse(data).topic)), [topic]);
  }
});

test("a tab with other topics takes over when the leader is closed", bounded, async (t) => {
  const { hub, pages } = await open(t, [["a"], ["b"], ["c"]]);
  for (const topic of ["b", "c"]) await publishAll(hub, topic, numbered(0, 10));
  await hear(pages.slice(1), numbered(0, 10));
  const began = Date.now();
  await pages[0].close();
  for (const topic of ["a", "b", "c"]) await publishAll(hub, topic, numbered(10, 20));
  await hear(pages.slice(1), numbered(0, 20));
  const took = Date.now() - began;
  assert.ok(took < TAKEOVER_MS, `${took} ms`);
  await shareOne(hub);
  t.diagnostic(`${took} ms`);
});

test("the end of a topic ends the tabs that follow nothing else", bounded, async (t) => {
  const { hub, pages } = await open(t, [["a"], ["b"], ["a", "b"], ["a"]]);
  await hub.publish("a", "the last", "?close=done");
  await hear([pages[0], pages[3]], ["the last", "close done"]);
  for (const page of [pages[0], pages[3]]) await until(() => page.evaluate(() => source.readyState === 2));
  await publishAll(hub, "b", numbered(0, 10));
  await hear([pages[1]], numbered(0, 10));
  await hear([pages[2]], ["the last", "close done", ...numbered(0, 10)]);
  await hub.publish("b", "the end", "?close=done");
  for (const page of pages) await until(() => page.evaluate(() => source.readyState === 2));
});

test("topics that the hub refuses are refused to the tab that wants them, and the others go on", bounded, async (t) => {
  const { hub, proxy, context, pages } = await open(t, [["a"], ["b"]]);
  const refused = await followTopics(context, proxy, ["no\u0000topic"]);
  await until(() => refused.evaluate(() => source.readyState === 2));
  for (const topic of ["a", "b"]) await publishAll(hub, topic, numbered(0, 10));
  await hear(pages, numbered(0, 10));
  await shareOne(hub);
});

/** A hub behind a proxy, and a tab for each list of topics. */
async function open(t, tabs) {
  const hub = await Hub.start(t, ["--retry", "20ms"]);
  const proxy = await CuttingProxy.start(t, hub);
  const context = await browser.newContext();
  t.after(() => context.close());
  const pages = [];
  for (const topics of tabs) pages.push(await followTopics(context, proxy, topics));
  await Promise.all(pages.map(connected));
  return { hub, proxy, context, pages };
}

/** Each of the pages hears what is published to its topic, behind what it has `heard`, over one connection. */
async function hearOwn(hub, pages, heard = []) {
  await Promise.all(pages.map(connected));
  await shareOne(hub);
  const own = (number) => numbered(20 * number, 20 * number + 20);
  for (const number of pages.keys()) await publishAll(hub, TWELVE[number][0], own(number));
  for (const [number, page] of pages.entries()) await hear([page], [...heard, ...own(number)]);
  await shareOne(hub);
}

/** In a page: a stand-in for a busy machine. Messages from other tabs, and answers, take up to so many ms. */
function delay(max) {
  const pause = () => new Promise((resolve) => setTimeout(resolve, Math.random() * max));
  const { fetch } = globalThis;
  globalThis.fetch = async (...request) => {
    await pause();
    return fetch(...request);
  };
  globalThis.BroadcastChannel = class extends BroadcastChannel {
    #last = Promise.resolve();
    set onmessage(hear) {
      super.onmessage = (message) => {
        const late = pause();
        this.#last = this.#last.then(() => late).then(() => hear(message));
      };
    }
  };
}

const followTopics = (context, { url }, topics, options = {}, path = "/topics") =>
  follow(context, url, path, { name: WAYS.shared, options: { ...quick, topics, ...options } });

const isStream = ({ headers }) => /event-stream/.test(headers.accept);
