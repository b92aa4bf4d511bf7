// The streams of `crates/tidings-codec/tests/streams`, through Chromium's own EventSource.
//
// The author of the expectations may have misread the standard as the decoder's author did. A browser is a judge of its
// own. Where it differs the table says how, and from which sentence; any other difference fails, and so does one that
// is gone.

import assert from "node:assert/strict";
import { once } from "node:events";
import http from "node:http";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";

import { startChromium } from "./support/chromium.mjs";
import { readStreams } from "./support/streams.mjs";

/**
 * Where Chromium differs from the standard, by stream: what it comes to instead, and the sentence it passes over.
 * The README of tidings-codec lists the same.
 */
const DIFFERENCES = {
  // A field without a value sets the reconnection time back to Chromium's own.
  retry_empty: {
    chromium: { retry: null },
    sentence: 'retry: "If the field value consists of only ASCII digits, then […]. Otherwise, ignore the field."',
  },
  // A number that 64 bits do not hold is ignored.
  retry_beyond_64_bits: {
    chromium: { retry: null },
    sentence: 'retry: "[…] set the event stream\'s reconnection time to that integer."',
  },
};

/** What Chromium waits before it reconnects, if no stream says otherwise. */
const DEFAULT_RETRY_MS = 3000;

/** A time that streams try to set and must not. */
const WRONG_RETRY_MS = 6000;

/** How much too early Chromium's timer may seem to fire, as its clock is not the server's. */
const EARLY_MS = 50;

const WAYS = {
  whole: async (response, bytes) => response.write(bytes),
  // Each byte is a chunk of its own on the wire. TCP may still hand the browser several at once.
  "byte by byte": async (response, bytes) => {
    for (const byte of bytes) {
      response.write(Buffer.of(byte));
      await setImmediate();
    }
  },
};

for (const [way, send] of Object.entries(WAYS)) {
  test(`Chromium hears what the standard says, sent ${way}`, { timeout: 120_000 }, async (t) => {
    const streams = await readStreams();
    assert.notEqual(streams.size, 0, "no stream was found");
    const server = await startServer(t, streams, send);
    const page = await (await startChromium(t)).newPage();
    await page.goto(server.origin);
    const types = [...streams.values()].flatMap(({ events }) => events.map(({ type }) => type));
    const names = [...streams.keys()];
    const isSoonBack = (name) => (streams.get(name).retry ?? DEFAULT_RETRY_MS) < DEFAULT_RETRY_MS;
    const heard = {};
    // First those that come back soon, so that the start of the others does not hold them up.
    for (const some of [names.filter(isSoonBack), names.filter((name) => !isSoonBack(name))]) {
      Object.assign(heard, await page.evaluate(listen, { names: some, types, watched: WRONG_RETRY_MS }));
    }

    for (const name of Object.keys(DIFFERENCES)) assert.ok(streams.has(name), `there is no stream ${name}`);
    for (const [name, stream] of streams) {
      await t.test(`${name}: ${stream.standard}`, () => {
        const expected = { ...stream, ...DIFFERENCES[name]?.chromium };
        assert.deepEqual(heard[name], expected.events);
        const wait = expected.retry ?? DEFAULT_RETRY_MS;
        const back = server.reconnections.get(name);
        if (wait > WRONG_RETRY_MS) {
          assert.equal(back, undefined, `it came back, and its reconnection time is ${wait} ms`);
          return;
        }
        assert.ok(back, `it has not come back in ${WRONG_RETRY_MS} ms`);
        assert.equal(back.lastEventId, expected.lastEventId);
        // A timer never fires early, but a busy machine may be late: until the next longer time it counts as this one.
        const next = wait < DEFAULT_RETRY_MS ? DEFAULT_RETRY_MS : WRONG_RETRY_MS;
        const [least, most] = [wait - EARLY_MS, next - EARLY_MS];
        assert.ok(back.after >= least && back.after < most, `${back.after} ms is not about ${wait}`);
      });
    }
  });
}

// "When a stream is parsed, a data buffer, an event type buffer, and a last event ID buffer must be associated with it. They
// must be initialized to the empty string." Taken by its letters, the first event of a new connection that has no ID forgets
// the place to resume from. Chromium does not, and neither does `Decoder::reset`.
test("Chromium keeps the last event ID for the events of its next connection", { timeout: 60_000 }, async (t) => {
  const streams = ["retry: 1\nid: 1\ndata: a\n\n", "data: b\n\n"];
  const asked = [];
  const server = http.createServer((request, response) => {
    if (request.url === "/") return response.writeHead(200, { "Content-Type": "text/html" }).end("<!doctype html>");
    // The browser asks for an icon as well.
    if (request.url !== "/stream") return response.writeHead(404).end();
    asked.push(request.headers["last-event-id"]);
    const stream = streams.shift();
    if (stream === undefined) return response.writeHead(204).end();
    response.writeHead(200, { "Content-Type": "text/event-stream" }).end(stream);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  const page = await (await startChromium(t)).newPage();
  await page.goto(`http://127.0.0.1:${server.address().port}/`);
  const heard = await page.evaluate(
    () =>
      new Promise((resolve) => {
        const events = [];
        const source = new EventSource("/stream");
        source.onmessage = ({ data, lastEventId }) => events.push({ data, lastEventId });
        source.onerror = () => source.readyState === EventSource.CLOSED && resolve(events);
      }),
  );
  assert.deepEqual(heard, [
    { data: "a", lastEventId: "1" },
    { data: "b", lastEventId: "1" },
  ]);
  assert.deepEqual(asked, [undefined, "1", "1"]);
});

/** In the page: follows all streams at once, and resolves to the events of each. */
async function listen({ names, types, watched }) {
  const follow = (name) =>
    new Promise((resolve) => {
      const events = [];
      const source = new EventSource(`/streams/${name}`);
      const take = (event) => {
        // The event source's own `open` and `error` are no MessageEvents.
        if (!(event instanceof MessageEvent)) return;
        events.push({ type: event.type, data: event.data, lastEventId: event.lastEventId });
      };
      for (const type of new Set([...types, "message"])) source.addEventListener(type, take);
      source.addEventListener("error", (event) => {
        if (event instanceof MessageEvent) return;
        // The answer 204 has closed it.
        if (source.readyState === EventSource.CLOSED) return resolve([name, events]);
        setTimeout(() => {
          source.close();
          resolve([name, events]);
        }, watched);
      });
    });
  return Object.fromEntries(await Promise.all(names.map(follow)));
}

/** Serves each stream once at `/streams/NAME`. The second request for one is answered 204, and kept. */
async function startServer(t, streams, send) {
  const ended = new Map();
  const reconnections = new Map();
  const server = http.createServer(async (request, response) => {
    const name = request.url.slice("/streams/".length);
    if (request.url === "/") {
      response.writeHead(200, { "Content-Type": "text/html; charset=utf-8" });
      response.end("<!doctype html><title>Streams</title>");
    } else if (!streams.has(name)) {
      response.writeHead(404).end();
    } else if (ended.has(name)) {
      // Node.js reads headers as Latin-1.
      const lastEventId = Buffer.from(request.headers["last-event-id"] ?? "", "latin1").toString("utf8");
      reconnections.set(name, { lastEventId, after: Math.round(performance.now() - ended.get(name)) });
      response.writeHead(204).end();
    } else {
      response.writeHead(200, { "Content-Type": "text/event-stream" });
      response.socket.setNoDelay();
      await send(response, streams.get(name).bytes);
      ended.set(name, performance.now());
      response.end();
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { origin: `http://127.0.0.1:${server.address().port}/`, reconnections };
}
