// The streams of `crates/tidings-codec/tests/streams`, through the decoder of `web/tidings.js`.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Decoder } from "../../web/tidings.js";
import { readStreams } from "./support/streams.mjs";

const WAYS = { whole: Infinity, "byte by byte": 1, "two bytes at a time": 2 };

const streams = await readStreams();
assert.notEqual(streams.size, 0, "no stream was found");

for (const [way, size] of Object.entries(WAYS)) {
  test(`the decoder makes of a stream what the standard says, read ${way}`, async (t) => {
    for (const [name, { bytes, standard, ...expected }] of streams) {
      await t.test(`${name}: ${standard}`, () => assert.deepEqual(decode(bytes, size), expected));
    }
  });
}

test("a line or an event beyond its limit is refused", () => {
  const line = new Decoder(10);
  assert.throws(() => line.decode(Buffer.from("data: 123456789")), RangeError);
  const event = new Decoder(10);
  assert.throws(() => event.decode(Buffer.from("data: 1\n".repeat(2))), RangeError);
});

/** What `bytes` comes to, in chunks of `size`. */
function decode(bytes, size) {
  const decoder = new Decoder();
  const found = { events: [], retry: null, lastEventId: "" };
  for (let at = 0; at < bytes.length; at += size) {
    for (const { type, data, id = found.lastEventId } of decoder.decode(bytes.subarray(at, Math.min(at + size, bytes.length)))) {
      found.lastEventId = id;
      if (data !== undefined) found.events.push({ type, data, lastEventId: id });
    }
  }
  found.retry = decoder.retry ?? null;
  return found;
}
