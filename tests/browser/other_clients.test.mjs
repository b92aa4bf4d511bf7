// What becomes of a stream in Chromium with the browser's own EventSource, with @microsoft/fetch-event-source, and with
// tidings.js, each with its defaults. The table in docs/browser.md says the same, or this fails.

import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";

import { startChromium } from "./support/chromium.mjs";
import { CuttingProxy } from "./support/cutting_proxy.mjs";
import { Hub, root } from "./support/hub.mjs";
import { startScriptedServer, status, stream } from "./support/scripted_server.mjs";
import { freeze, numbered, publishAll } from "./support/tidings_page.mjs";
import { until } from "./support/until.mjs";

const CLIENTS = ["EventSource", "@microsoft/fetch-event-source", "tidings.js"];
const CUTS = Number(process.env.TIDINGS_CUTS ?? 15);
const LF = 10;
const flags = ["--retry", "20ms"];
const browser = await startChromium({ after });
const table = readTable(await readFile(`${root}docs/browser.md`, "utf8"));

// Most of the time each waits for something.
describe("what becomes of a stream", { concurrency: 4 }, () => {
  scenario("connections cut at random", async (t, client) => {
    const { hub, proxy, page } = await follow(t, client);
    let random = 7;
    proxy.cutting = () => {
      if (proxy.cuts.length >= CUTS) return undefined;
      random = (random * 48_271) % 2_147_483_647;
      return elsewhere(400 + (random % 3000));
    };
    proxy.cutNow();
    const published = [];
    while (proxy.cuts.length < CUTS && published.length < 200 * CUTS) {
      const more = numbered(published.length, published.length + 40);
      await publishAll(hub, "a", more);
      published.push(...more);
      await until(() => page.evaluate((last) => heard.at(-1) === last, more.at(-1)));
    }
    assert.equal(proxy.cuts.length, CUTS);
    return every(page, published);
  });

  scenario("an event's last byte is cut off", async (t, client) => {
    const { hub, proxy, page } = await follow(t, client, (number) =>
      // Behind the line with the ID, before the blank one.
      number === 1 ? (received) => lengthBefore(received, "data: 0 .\n") : undefined,
    );
    await publishAll(hub, "a", numbered(0, 1));
    await until(() => proxy.streams.length === 2);
    await publishAll(hub, "a", numbered(1, 3));
    await until(() => page.evaluate(() => heard.length >= 2));
    return (await every(page, numbered(0, 3))) === "every event once" ? "dropped, and asked for again" : "lost";
  });

  scenario("the hub restarts 5 times", async (t, client) => {
    const data = await mkdtemp(join(tmpdir(), "tidings-"));
    t.after(() => rm(data, { recursive: true }));
    let { hub, page } = await follow(t, client, undefined, ["--data", data]);
    for (let round = 0; round < 5; round++) {
      await hub.stop();
      hub = await Hub.start(t, [...flags, "--data", data], hub.port);
      await publishAll(hub, "a", numbered(10 * round, 10 * round + 10));
      const count = 10 * round + 10;
      await until(() => page.evaluate((count) => heard.length >= count || ended, count));
      if (await page.evaluate(() => ended)) return "ends at the first";
    }
    return every(page, numbered(0, 50));
  });

  scenario("offline and online again", async (t, client) => {
    const { hub, proxy, page } = await follow(t, client);
    await publishAll(hub, "a", numbered(0, 10));
    await until(() => page.evaluate(() => heard.length === 10));
    // The browser only keeps new connections from being made, so the proxy does away with the old one.
    await page.context().setOffline(true);
    proxy.cutNow();
    await publishAll(hub, "a", numbered(10, 20));
    await until(() => proxy.cuts.length === 1);
    await page.context().setOffline(false);
    await until(() => page.evaluate(() => heard.length >= 20 || ended));
    return every(page, numbered(0, 20));
  });

  scenario("frozen and thawed", async (t, client) => {
    const { hub, page } = await follow(t, client);
    await publishAll(hub, "a", numbered(0, 10));
    await until(() => page.evaluate(() => heard.length === 10));
    const thaw = await freeze(page, { announced: true });
    await publishAll(hub, "a", numbered(10, 20));
    await thaw();
    await until(() => page.evaluate(() => heard.length >= 20 || ended));
    return every(page, numbered(0, 20));
  });

  scenario("a hidden tab", async (t, client) => {
    const { hub, proxy, page } = await follow(t, client);
    const setHidden = (hidden) =>
      page.evaluate((hidden) => {
        Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
        document.dispatchEvent(new Event("visibilitychange"));
      }, hidden);
    await setHidden(true);
    await publishAll(hub, "a", numbered(0, 1));
    // Long enough for a busy machine; only a client that hangs up waits for all of it.
    const stays = page.waitForFunction(() => heard.length === 1, undefined, { timeout: 10_000 });
    const outcome = await stays.then(() => "stays connected", () => "hangs up, and asks again when it is shown");
    await setHidden(false);
    await until(() => page.evaluate(() => heard.length === 1));
    assert.equal(proxy.streams.length, outcome === "stays connected" ? 1 : 2);
    return outcome;
  });

  scripted("408, 429, 5xx", [status(503)], "tries again", "gives up");
  scripted("204", [status(204)], "tries again", "ends");
  scripted("401", [status(401)], "tries again", "gives up");
  scripted("another content type, other statuses", [status(200, { "Content-Type": "text/html" })], "tries again", "gives up");
  scripted("the response ends", [stream("data: a\nid: 1\n\n")], "comes back", "does not come back");
  scripted("a POST that breaks", [stream("data: a\nid: 1\n\n", { end: "breaks" })], "is sent again", "is not sent again", "POST");

  scenario("a comment, as heartbeats are", async (t, client) => {
    const { url } = await startScriptedServer(t, stream(":\n\ndata: a\nid: 1\n\n", { end: "stays" }));
    const page = await open(t, client, url);
    await until(() => page.evaluate(() => heard.length > 0));
    return (await page.evaluate(() => empty)) ? "comes as an empty message" : "is not seen";
  });
});

test("the documented lines keep @microsoft/fetch-event-source from asking again after a 401", { timeout: 30_000 }, async (t) => {
  const { url, requests } = await startScriptedServer(t, status(401));
  const page = await open(t, "EventSource", url);
  const refused = await page.evaluate(async (url) => {
    const { fetchEventSource } = await import("/modules/index");
    class Refused extends Error {}
    return fetchEventSource(url, {
      onopen: async ({ status }) => {
        if (status === 401 || status === 403) throw new Refused(status);
      },
      onerror: (error) => {
        if (error instanceof Refused) throw error;
      },
    }).catch((error) => error.message);
  }, `${url}?by=it`);
  assert.equal(refused, "401");
  assert.equal(requests.filter(({ url }) => url.includes("by=it")).length, 1);
});

/** A test for each client, whose outcome is what the table says in its column. */
function scenario(name, run) {
  assert.ok(table.has(name), `docs/browser.md has no row "${name}"`);
  for (const [column, client] of CLIENTS.entries()) {
    const documented = table.get(name)[column];
    // An EventSource has no POST.
    if (documented === "") continue;
    test(`${name}: ${client}`, { timeout: 30_000 }, async (t) => {
      const outcome = await run(t, client);
      t.diagnostic(outcome);
      assert.ok(documented.startsWith(outcome), `docs/browser.md says "${documented}", and it is "${outcome}"`);
    });
  }
}

/** What a client does about `answers`, behind which a stream would follow. */
function scripted(name, answers, again, final, method = "GET") {
  scenario(name, async (t, client) => {
    const { url, requests } = await startScriptedServer(t, ...answers, stream("data: b\nid: 2\n\n", { end: "stays" }));
    const page = await open(t, client, url, method);
    await until(async () => requests.length > 1 || (await page.evaluate(() => ended)));
    return requests.length > 1 ? again : final;
  });
}

/** A page that follows the topic `a` of a hub, through a proxy, and has begun. `cutNow` cuts what it has. */
async function follow(t, client, cutting = undefined, more = []) {
  const hub = await Hub.start(t, [...flags, ...more]);
  const proxy = await CuttingProxy.start(t, hub);
  let isCut = false;
  let passed = 0;
  proxy.cutting = cutting ?? ((number) => (number > 1 ? undefined : (received) => (isCut ? passed : ((passed = received.length), -1))));
  proxy.cutNow = () => (isCut = true);
  const page = await open(t, client, `${more.length ? hub.url : proxy.url}/topics/a`);
  await until(() => page.evaluate(() => started));
  return { hub, proxy, page };
}

/** A page of the site of `url` that follows it with `client`. */
async function open(t, client, url, method) {
  const context = await browser.newContext();
  t.after(() => context.close());
  const page = await context.newPage();
  const library = `${root}tests/browser/node_modules/@microsoft/fetch-event-source/lib/esm/`;
  await page.route("**/page", (route) => route.fulfill({ contentType: "text/html", body: "<!doctype html>" }));
  await page.route("**/modules/*", async (route) => {
    const name = route.request().url().split("/").at(-1);
    const body = await readFile(name === "tidings.js" ? `${root}web/tidings.js` : `${library}${name}.js`);
    await route.fulfill({ contentType: "text/javascript", body });
  });
  await page.goto(new URL("/page", url).href);
  await page.evaluate(listen, { client, url, method });
  return page;
}

/** In the page: follows `url`, and keeps what was heard. */
async function listen({ client, url, method }) {
  Object.assign(globalThis, { heard: [], started: false, empty: 0, ended: false });
  const hear = (type, data) => {
    if (type === "start") globalThis.started = true;
    else if (data) heard.push(data);
    else empty++;
  };
  if (client === "@microsoft/fetch-event-source") {
    const { fetchEventSource } = await import("/modules/index");
    const followed = fetchEventSource(url, { method, onmessage: ({ event, data }) => hear(event, data) });
    followed.catch(() => {}).finally(() => (globalThis.ended = true));
    return;
  }
  const Source = client === "EventSource" ? EventSource : (await import("/modules/tidings.js")).EventSource;
  // Without a server that says when to come back, no test waits for long.
  globalThis.source = new Source(url, { method, reconnectionTime: 20, maxBackoff: 20 });
  for (const type of ["start", "message"]) source.addEventListener(type, ({ data }) => hear(type, data));
  source.onerror = () => (globalThis.ended = source.readyState === 2);
}

/** Whether a page has heard all of it, each once and in order. */
async function every(page, published) {
  await until(() => page.evaluate((last) => heard.includes(last), published.at(-1)));
  const heard = await page.evaluate(() => globalThis.heard);
  if (JSON.stringify(heard) === JSON.stringify(published)) return "every event once";
  return new Set(heard).size < heard.length ? "some events twice" : `${published.length - heard.length} events lost`;
}

/** Cuts after at least `length` bytes, and not before the last byte of an event, which is the next scenario. */
function elsewhere(length) {
  return (received) => {
    if (received.length <= length) return -1;
    return received[length - 1] === LF && received[length] === LF ? length + 1 : length;
  };
}

/** The length up to the line break behind the ID of the event with `text`, or -1. */
function lengthBefore(received, text) {
  const at = received.indexOf(text);
  const end = at < 0 ? -1 : received.indexOf("\n\n", at);
  return end < 0 ? -1 : end + 1;
}

/** The rows of the table that compares clients: its columns by the first of them. */
function readTable(text) {
  const rows = text.split("\n").filter((line) => line.startsWith("| "));
  const cells = rows.map((row) => row.slice(1, -1).split("|").map((cell) => cell.trim()));
  return new Map(cells.filter((row) => row.length === 4).map(([name, ...columns]) => [name, columns]));
}
