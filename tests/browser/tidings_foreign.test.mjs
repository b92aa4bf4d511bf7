// `web/tidings.js` and `web/tidings-shared.js` in Chromium against servers that are no hub, beside Chromium's own EventSource.

import assert from "node:assert/strict";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import http from "node:http";
import { after, test } from "node:test";

import { startChromium } from "./support/chromium.mjs";
import { root } from "./support/hub.mjs";
import { until } from "./support/until.mjs";

const bounded = { timeout: 60_000 };
const browser = await startChromium({ after });

/** How an EventSource of Chromium and ours differ, by content type: it also looks at the charset, and the standard does not. */
const CHROMIUM_REFUSES = ["text/event-stream; charset=latin1"];

test("what opens a stream of Chromium's own EventSource opens one of ours", bounded, async (t) => {
  const types = [
    "text/event-stream", "TEXT/EVENT-STREAM", "text/event-stream;charset=utf-8", "text/event-stream ; charset=\"UTF-8\"", "text/event-stream;",
    "text/event-stream; x=\"a,b/c\"", "text/event-stream, text/event-stream", "text/html, text/event-stream", "text/event-stream, text/html",
    "text/event-stream, */*", "text/event-stream, nonsense", "text/event-streams", "text/event", "text/plain", "application/json", "",
    ...CHROMIUM_REFUSES,
  ];
  const { origin } = await startServer(t, (request, response) => {
    response.writeHead(200, { "Content-Type": types[new URL(request.url, "http://x").searchParams.get("type")] });
    // What is not opened ends all the same: of some types Chromium waits for more, to see what it is.
    response.end("data: a\n\n");
  });
  const page = await open(t, origin);
  for (const [number, type] of types.entries()) {
    const [theirs, ours, shared] = await page.evaluate(async (number) => {
      const { EventSource: Ours } = await import("/tidings.js");
      const { SharedEventSource } = await import("/tidings-shared.js");
      return Promise.all([EventSource, Ours, SharedEventSource].map(
        (Source) =>
          new Promise((resolve) => {
            const source = new Source(`/stream?type=${number}&of=${Source.name}`);
            const is = (word) => () => resolve((source.close(), word));
            source.onmessage = is("opens");
            source.onerror = is("refuses");
          }),
      ));
    }, number);
    assert.equal(ours, CHROMIUM_REFUSES.includes(type) ? "opens" : theirs, type);
    assert.equal(shared, ours, type);
  }
});

test("an ID too long for a header breaks no tab, no leader, and no reconnection", bounded, async (t) => {
  const places = [];
  const { origin } = await startServer(t, (request, response) => {
    const place = request.headers["last-event-id"] ?? "";
    places.push(place);
    response.writeHead(200, { "Content-Type": "text/event-stream" });
    if (!place) return response.end(`id: 1\ndata: first\n\nid: ${"i".repeat(1_000_000)}\ndata: long\n\n`);
    response.write("data: back\n\n");
    const ticking = setInterval(() => response.write("data: tick\n\n"), 50);
    response.on("close", () => clearInterval(ticking));
  });
  const context = await browser.newContext();
  t.after(() => context.close());
  const pages = [];
  for (let tab = 0; tab < 2; tab++) pages.push(await follow(context, origin, "SharedEventSource"));
  for (const page of pages) await until(() => page.evaluate(() => heard.includes("tick")));
  assert.deepEqual(await pages[0].evaluate(() => heard.slice(0, 3)), ["first", "long", "back"]);
  assert.ok(places.every((place) => place.length <= 1), `${places.map((place) => place.length)}`);
});

test("the names of a hub's events mean nothing to tabs that share the stream of another server", bounded, async (t) => {
  let asked = 0;
  const { origin } = await startServer(t, (_, response) => {
    response.writeHead(200, { "Content-Type": "text/event-stream" });
    response.end(`retry: 100\n\nid: ${++asked}\nevent: start\ndata: page ${asked}\n\nevent: close\ndata: bye\n\n`);
  });
  const context = await browser.newContext();
  t.after(() => context.close());
  const page = await follow(context, origin, "SharedEventSource");
  await until(() => page.evaluate(() => heard.filter((data) => data === "bye").length >= 3));
  assert.notEqual(await page.evaluate(() => source.readyState), 2);
  await until(() => page.evaluate(() => seen.includes("start")));
});

test("a block of topics without end ends the source, and not the page", bounded, async (t) => {
  const { origin } = await startServer(t, async (_, response) => {
    response.writeHead(200, { "Content-Type": "text/event-stream" });
    const lines = "topic: a\n".repeat(8000);
    const more = () => {
      while (!response.destroyed && response.write(lines));
    };
    response.on("drain", more);
    more();
  });
  for (const name of ["EventSource", "SharedEventSource"]) {
    const context = await browser.newContext();
    const page = await follow(context, origin, name);
    await until(() => page.evaluate(() => source.readyState === 2));
    assert.equal(await page.evaluate(() => failures.at(-1)), "RangeError");
    await context.close();
  }
});

/** Serves the modules, an empty page, and at `/stream` what `answer` says. */
async function startServer(t, answer) {
  const modules = {};
  for (const name of ["/tidings.js", "/tidings-shared.js"]) modules[name] = await readFile(`${root}web${name}`);
  const server = http.createServer((request, response) => {
    const path = request.url.split("?")[0];
    if (path === "/stream") return answer(request, response);
    const type = modules[path] ? "text/javascript" : "text/html";
    return response.writeHead(200, { "Content-Type": type }).end(modules[path] ?? "<!doctype html><title>A page</title>");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { origin: `http://127.0.0.1:${server.address().port}` };
}

async function open(t, origin) {
  const context = await browser.newContext();
  t.after(() => context.close());
  const page = await context.newPage();
  await page.goto(origin);
  return page;
}

/** A new tab that follows `/stream`. It has `source`, the data it `heard`, what types its iterator has `seen`, and `failures`. */
async function follow(context, origin, name) {
  const page = await context.newPage();
  await page.goto(origin);
  await page.evaluate(async (name) => {
    const module = await import(name === "EventSource" ? "/tidings.js" : "/tidings-shared.js");
    Object.assign(globalThis, { heard: [], seen: [], failures: [] });
    globalThis.source = new module[name]("/stream", { reconnectionTime: 20, maxBackoff: 20 });
    for (const type of ["message", "start", "close"]) source.addEventListener(type, ({ data }) => heard.push(data));
    source.onerror = ({ error }) => failures.push(error?.name);
    (async () => {
      for await (const { type } of source) seen.push(type);
    })().catch(() => {});
  }, name);
  return page;
}
