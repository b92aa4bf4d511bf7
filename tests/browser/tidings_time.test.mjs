// How long `web/tidings.js` waits, by clocks that the tests set. Nothing here goes over a network, whose own timers would be
// led astray.

import assert from "node:assert/strict";
import { test } from "node:test";

import { EventSource } from "../../web/tidings.js";
import { until } from "./support/until.mjs";

const bounded = { timeout: 20_000 };

test("the wait doubles with each failure up to its bound, and is never shorter than the reconnection time", bounded, async (t) => {
  t.mock.method(Math, "random", () => 1);
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const source = open(t, {
    maxBackoff: 20_000,
    fetch: async () => Promise.reject(new TypeError("no network")),
  });
  const waits = [];
  const failed = () => new Promise((resolve) => (source.onerror = resolve));
  for (let count = 0; count < 6; count++) {
    const { retryIn, error } = await failed();
    assert.match(error.message, /no network/);
    waits.push(retryIn);
    t.mock.timers.tick(retryIn - 1);
    await new Promise(setImmediate);
    assert.equal(source.readyState, EventSource.CONNECTING);
    t.mock.timers.tick(1);
  }
  assert.deepEqual(waits, [6000, 9000, 15_000, 23_000, 23_000, 23_000]);
});

test("a server that never sends a comment may be silent, and one that does may not", bounded, async (t) => {
  const sources = ["data: a\n\n", ":\ndata: a\n\n"].map((text) => {
    let controller;
    const body = new ReadableStream({ start: (started) => (controller = started) });
    controller.enqueue(new TextEncoder().encode(text));
    const response = new Response(body, { headers: { "Content-Type": "text/event-stream" } });
    // As one over a network, it breaks when it is given up.
    const fetch = async (_, { signal }) => {
      signal.addEventListener("abort", () => controller.error(signal.reason));
      return response;
    };
    const source = open(t, { fetch });
    const seen = { events: 0, errors: 0 };
    source.onmessage = () => seen.events++;
    source.onerror = () => seen.errors++;
    return { seen };
  });
  await until(() => sources.every(({ seen }) => seen.events === 1));
  // As when the machine has slept: the clock has gone on, and the timers have not.
  const now = Date.now;
  const began = now();
  t.mock.method(Date, "now", () => now() + 50_000);
  await until(() => sources[1].seen.errors === 1);
  // Both are looked at in the same second.
  await new Promise((resolve) => setTimeout(resolve, 1000 - (now() - began) + 500));
  assert.deepEqual(sources.map(({ seen }) => seen.errors), [0, 1]);
});

/** Opens a source that the end of the test closes. */
function open(t, options) {
  const source = new EventSource("http://127.0.0.1/", options);
  t.after(() => source.close());
  return source;
}
