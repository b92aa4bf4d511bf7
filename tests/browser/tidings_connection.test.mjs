// When `web/tidings.js` connects, comes back and gives up, in Node.js against a server that does as it is told.

import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";

import { EventSource } from "../../web/tidings.js";
import { startScriptedServer, status, stream } from "./support/scripted_server.mjs";
import { until } from "./support/until.mjs";

const bounded = { timeout: 20_000 };

/** So that no test waits for long. */
const quick = { reconnectionTime: 10, maxBackoff: 10 };

/** What says that a hub speaks. */
const hub = { headers: { "Tidings-Hub": "1" } };

test("it has the shape of an EventSource", bounded, async (t) => {
  const { url } = await startScriptedServer(t, stream("data: a\nid: 1\n\n", { end: "stays" }));
  const source = open(t, url, quick);
  assert.deepEqual([source.CONNECTING, source.OPEN, source.CLOSED], [0, 1, 2]);
  assert.deepEqual([EventSource.CONNECTING, EventSource.OPEN, EventSource.CLOSED], [0, 1, 2]);
  assert.equal(source.readyState, EventSource.CONNECTING);
  assert.equal(source.url, url);
  assert.equal(source.withCredentials, false);
  assert.deepEqual([source.onopen, source.onmessage, source.onerror], [null, null, null]);
  const heard = [];
  source.onopen = function ({ type, target }) {
    heard.push([type, this === source, target === source, source.readyState]);
  };
  source.onmessage = ({ type, data, lastEventId, origin }) => heard.push([type, data, lastEventId, origin]);
  await until(() => heard.length === 2);
  assert.deepEqual(heard, [["open", true, true, 1], ["message", "a", "1", new URL(url).origin]]);
  assert.equal(source.lastEventId, "1");
  source.close();
  assert.equal(source.readyState, EventSource.CLOSED);
});

test("a URL that is none is a SyntaxError, as of an EventSource", () => {
  for (const url of ["no url", "http://[", "//host"]) {
    assert.throws(() => new EventSource(url), (error) => error instanceof DOMException && error.name === "SyntaxError" && error.message.includes(url));
  }
});

for (const url of ["ftp://127.0.0.1/", "mailto:a@127.0.0.1", "javascript:0", "about:blank", "ws://127.0.0.1/", "http://user:password@127.0.0.1/", "http://user@127.0.0.1/"]) {
  test(`${url} can never be fetched, so it is not tried again`, bounded, async (t) => {
    const source = open(t, url, quick);
    const { errors } = record(source);
    assert.equal(source.readyState, EventSource.CONNECTING);
    await until(() => errors.length === 1);
    assert.equal(source.readyState, EventSource.CLOSED);
    assert.equal(errors[0].retryIn, undefined);
    assert.match(errors[0].error.message, /fetch refuses/);
    assert.doesNotMatch(errors[0].error.message, /password/);
    await assert.rejects(source[Symbol.asyncIterator]().next(), TypeError);
  });
}

test("a POST whose answer leads to what can't be fetched ends, and says why", bounded, async (t) => {
  const { url, requests } = await startScriptedServer(t, stream("id: 1\ndata: a\n\n", { end: "breaks", headers: { Location: "ftp://127.0.0.1/" } }));
  const source = open(t, url, post);
  const { errors } = record(source);
  await until(() => source.readyState === EventSource.CLOSED);
  assert.equal(requests.length, 1);
  assert.match(errors.at(-1).error.message, /fetch refuses ftp:/);
});

test("it comes back with the last event ID after every kind of end", bounded, async (t) => {
  const { url, requests } = await startScriptedServer(
    t,
    stream("id: ä 1\ndata: a\n\n"),
    stream("data: b\n\nid: 2\ndata: cut off", { end: "breaks" }),
    (response) => response.destroy(),
    status(204),
  );
  const source = open(t, url, quick);
  const { data, errors } = record(source);
  await until(() => source.readyState === EventSource.CLOSED);
  assert.deepEqual(data, ["a", "b"]);
  const ids = requests.map(({ headers }) => Buffer.from(headers["last-event-id"] ?? "", "latin1").toString());
  assert.deepEqual(ids, ["", "ä 1", "ä 1", "ä 1"]);
  assert.deepEqual(errors.map(({ readyState }) => readyState), [0, 0, 0, 2]);
  assert.equal(errors[3].error, undefined, "204 is an end in order");
});

test("204 ends it for good", bounded, async (t) => {
  const { url, requests } = await startScriptedServer(t, status(204));
  const source = open(t, url, quick);
  const { errors } = record(source);
  for await (const event of source) assert.fail(event.type);
  assert.equal(source.readyState, EventSource.CLOSED);
  assert.equal(errors.length, 1);
  assert.equal(requests.length, 1);
});

for (const type of [
  "TEXT/Event-Stream", "text/event-stream;charset=UTF-8", "text/event-stream\t; charset=utf-8", "text/event-stream; x=\"a,b/c\"",
  "text/html, text/event-stream", "text/event-stream, */*", "text/event-stream, nonsense", "text/event-stream;",
]) {
  test(`${type} opens it`, bounded, async (t) => {
    const { url } = await startScriptedServer(t, stream("data: a\n\n", { end: "stays", headers: { "Content-Type": type } }));
    const { data } = record(open(t, url, quick));
    await until(() => data.length === 1);
  });
}

for (const [what, answer] of Object.entries({
  "a content type that another one follows": stream("", { headers: { "Content-Type": "text/event-stream, text/html" } }),
  "another content type": stream("data: a\n\n", { headers: { "Content-Type": "text/html" } }),
  "no content type": (response) => response.writeHead(200).end("data: a\n\n"),
  "a content type that only begins alike": stream("", { headers: { "Content-Type": "text/event-streams" } }),
  "404": status(404, { "Content-Type": "application/problem+json" }, '{"detail":"no such topic"}'),
  "201 to a GET": (response) => response.writeHead(201, { "Content-Type": "text/event-stream" }).end("data: a\n\n"),
})) {
  test(`${what} ends it, and says why`, bounded, async (t) => {
    const { url, requests } = await startScriptedServer(t, answer);
    const source = open(t, url, quick);
    const { data, errors } = record(source);
    await assert.rejects(async () => {
      for await (const event of source) assert.fail(event.type);
    }, /the answer is \d{3} \(/);
    assert.equal(source.readyState, EventSource.CLOSED);
    assert.deepEqual([data.length, errors.length, requests.length], [0, 1, 1]);
    assert.equal(errors[0].retryIn, undefined);
    assert.ok(errors[0].response instanceof Response);
  });
}

test("a listener can read why it was refused", bounded, async (t) => {
  const { url } = await startScriptedServer(t, status(403, { "Content-Type": "application/json" }, '{"detail":"no"}'));
  const source = open(t, url);
  const detail = await new Promise((resolve) => {
    source.onerror = async ({ response }) => resolve((await response.json()).detail);
  });
  assert.equal(detail, "no");
});

test("it comes back after 408, 429 and 5xx", bounded, async (t) => {
  const { url, requests } = await startScriptedServer(
    t, status(408), status(429), status(500), status(503), status(599), stream("data: a\n\n", { end: "stays" }),
  );
  const source = open(t, url, quick);
  const { data, errors } = record(source);
  await until(() => data.length === 1);
  assert.equal(requests.length, 6);
  assert.deepEqual(errors.map(({ response }) => response.status), [408, 429, 500, 503, 599]);
});

test("it stays away for as long as Retry-After says, in seconds or as a date", bounded, async (t) => {
  const inTwoSeconds = (response) => status(503, { "Retry-After": new Date(Date.now() + 2000).toUTCString() })(response);
  const { url, requests } = await startScriptedServer(t, status(429, { "Retry-After": "1" }), inTwoSeconds, status(204));
  const source = open(t, url, quick);
  await until(() => source.readyState === EventSource.CLOSED);
  const [first, second, third] = requests.map(({ at }) => at);
  assert.ok(second - first >= 990, `${second - first} ms`);
  // A date has no parts of a second.
  assert.ok(third - second >= 900, `${third - second} ms`);
});

test("a server's reconnection time counts from 100 ms to an hour, or as far as `maxWait` says, which is a day at most", bounded, async (t) => {
  for (const [sent, maxWait, least] of [
    ["0", undefined, 100], ["99", undefined, 100], ["101", undefined, 101], ["3600001", undefined, 3_600_000],
    ["99999999999999999999", undefined, 3_600_000], ["99999999999999999999", 5000, 5000], ["9".repeat(400), Infinity, 86_400_000],
  ]) {
    const { url } = await startScriptedServer(t, stream(`retry: ${sent}\ndata: a\n\n`));
    const source = open(t, url, { ...quick, maxWait });
    const { errors } = record(source);
    await until(() => errors.length === 1);
    const { retryIn } = errors[0];
    assert.ok(retryIn >= least && retryIn <= least + quick.maxBackoff, `retry: ${sent}, maxWait ${maxWait}: ${retryIn} ms`);
  }
});

test("what Retry-After asks for counts up to an hour, or as far as `maxWait` says", bounded, async (t) => {
  const far = new Date(Date.now() + 10 * 86_400_000).toUTCString();
  for (const [sent, maxWait, expected] of [["1000000000000", undefined, 3_600_000], ["1e400", 5000, 5000], [far, Infinity, 86_400_000]]) {
    const { url } = await startScriptedServer(t, status(503, { "Retry-After": sent }));
    const { errors } = record(open(t, url, { ...quick, maxWait }));
    await until(() => errors.length === 1);
    assert.equal(errors[0].retryIn, expected, sent);
  }
});

test("after a cut that has brought nothing it waits for 100 ms at least, whatever it is told", bounded, async (t) => {
  const { url } = await startScriptedServer(t, stream("id: 1\n\n"), (response) => response.destroy(), status(503), stream("data: a\n\n"));
  const { errors } = record(open(t, url, { reconnectionTime: 0, maxBackoff: 0 }));
  await until(() => errors.length >= 4);
  assert.deepEqual(errors.slice(0, 4).map(({ retryIn }) => retryIn), [100, 100, 100, 0]);
});

test("an ID that is too long for a header counts as none: the event comes, and the source comes back behind the one before", bounded, async (t) => {
  const { url, requests } = await startScriptedServer(
    t,
    stream("id: 1\ndata: a\n\n"),
    stream(`id: ${"i".repeat(1_000_000)}\ndata: b\n\n`),
    stream(`id: ${"ä".repeat(4096)}\ndata: c\n\n`),
    status(204),
  );
  const source = open(t, url, quick);
  const { data } = record(source);
  await until(() => source.readyState === EventSource.CLOSED);
  assert.deepEqual(data, ["a", "b", "c"]);
  assert.deepEqual(requests.map(({ headers }) => (headers["last-event-id"] ?? "").length), [0, 1, 1, 2 * 4096]);
});

test("an ID that the page itself gives is sent whatever its length", bounded, async (t) => {
  const requests = [];
  const fetch = async (_, { headers }) => requests.push(headers.get("Last-Event-ID")) && new Response(null, { status: 204 });
  const source = open(t, "http://127.0.0.1/", { lastEventId: "i".repeat(1_000_000), fetch });
  await until(() => source.readyState === EventSource.CLOSED);
  assert.equal(requests[0].length, 1_000_000);
});

test("headers are asked for before each attempt, and their failure is one of the attempt", bounded, async (t) => {
  const { url, requests } = await startScriptedServer(t, stream("id: 1\ndata: a\n\n"), status(204));
  const attempts = [];
  const headers = async (attempt) => {
    attempts.push(attempt);
    if (attempts.length === 2) throw new Error("no token yet");
    return { Authorization: `Bearer ${attempts.length}` };
  };
  const source = open(t, url, { ...quick, headers });
  const { errors } = record(source);
  await until(() => source.readyState === EventSource.CLOSED);
  assert.deepEqual(attempts, [{ number: 1, lastEventId: "" }, { number: 2, lastEventId: "1" }, { number: 3, lastEventId: "1" }]);
  assert.deepEqual(requests.map(({ headers }) => headers.authorization), ["Bearer 1", "Bearer 3"]);
  assert.match(errors[1].error.message, /no token yet/);
});

const post = { ...quick, method: "post", body: '{"ask":1}' };

test("a POST is not sent again, however it ends", bounded, async (t) => {
  const ends = [
    stream("id: 1\ndata: a\n\n"), stream("id: 1\ndata: a\n\n", { end: "breaks" }), status(503), (response) => response.destroy(),
  ];
  for (const end of ends) {
    const { url, requests } = await startScriptedServer(t, end);
    const source = open(t, url, post);
    const { errors } = record(source);
    await until(() => source.readyState === EventSource.CLOSED);
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.deepEqual(requests.map(({ method, text }) => [method, text]), [["POST", '{"ask":1}']]);
    assert.equal(errors.length, 1);
    assert.equal(errors[0].error === undefined, end === ends[0], "only its own end is one in order");
  }
});

test("a POST with an idempotency key is sent again when it fails, and not when it is complete", bounded, async (t) => {
  const { url, requests } = await startScriptedServer(
    t, (response) => response.destroy(), stream("data: a\n\n", { end: "breaks" }), stream("data: b\n\n"),
  );
  const source = open(t, url, { ...post, headers: { "Idempotency-Key": "k" } });
  const { data } = record(source);
  await until(() => source.readyState === EventSource.CLOSED);
  assert.deepEqual(data, ["a", "b"]);
  assert.deepEqual(requests.map(({ method, text }) => [method, text]), Array(3).fill(["POST", '{"ask":1}']));
});

for (const name of ["Location", "Content-Location"]) {
  test(`the stream of a POST goes on by GET where ${name} says, and is stopped there`, bounded, async (t) => {
    const { url, requests } = await startScriptedServer(
      t,
      stream("id: 1\ndata: a\n\n", { end: "breaks", headers: { [name]: "/answers/7" } }),
      stream("id: 2\ndata: b\n\n", { end: "stays" }),
      status(202),
    );
    const source = open(t, url, post);
    const { data } = record(source);
    await until(() => data.length === 2);
    await source.stop();
    assert.deepEqual(
      requests.map(({ method, url, text, headers }) => [method, url, text, headers["last-event-id"]]),
      [["POST", "/stream", '{"ask":1}', undefined], ["GET", "/answers/7", "", "1"], ["DELETE", "/answers/7", "", "2"]],
    );
    assert.equal(source.readyState, EventSource.CLOSED);
  });
}

test("`close` leaves the work alone, and hangs up", bounded, async (t) => {
  const { url, requests } = await startScriptedServer(t, stream("data: a\n\n", { end: "stays" }));
  const source = open(t, url);
  const { data, errors } = record(source);
  await until(() => data.length === 1);
  source.close();
  await requests[0].ended;
  assert.deepEqual([requests.length, errors.length], [1, 0]);
});

test("a listener that closes the source hears nothing more of the same chunk", bounded, async (t) => {
  const { url } = await startScriptedServer(t, stream("id: 1\ndata: a\n\nid: 2\ndata: b\n\n", { end: "stays" }));
  const source = open(t, url);
  const { data } = record(source);
  source.addEventListener("message", () => source.close());
  await until(() => data.length === 1);
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.deepEqual([data, source.lastEventId], [["a"], "1"]);
});

test("a connection on which nothing comes is given up", bounded, async (t) => {
  const { url, requests } = await startScriptedServer(t, stream("id: 1\ndata: a\n\n", { end: "stays" }), status(204));
  const source = open(t, url, { ...quick, idleTimeout: 300 });
  const { errors } = record(source);
  await until(() => source.readyState === EventSource.CLOSED);
  await requests[0].ended;
  assert.match(errors[0].error.message, /nothing arrived for \d+ ms/);
  assert.equal(requests[1].headers["last-event-id"], "1");
});

test("events that an earlier connection brought are dropped if that is asked for", bounded, async (t) => {
  for (const [dedupe, expected] of [[0, "a b b a b c"], [10, "a b b c"], [1, "a b b a b c"]]) {
    const { url } = await startScriptedServer(
      t,
      // Two events of one connection may share an ID.
      stream("id: 1\ndata: a\n\nid: 2\ndata: b\n\nid: 2\ndata: b\n\n"),
      stream("id: 1\ndata: a\n\nid: 2\ndata: b\n\nid: 3\ndata: c\n\n"),
      status(204),
    );
    const source = open(t, url, { ...quick, dedupe });
    const { data } = record(source);
    await until(() => source.readyState === EventSource.CLOSED);
    assert.equal(data.join(" "), expected, `dedupe: ${dedupe}`);
  }
});

test("an event without an ID is no repeat", bounded, async (t) => {
  const { url } = await startScriptedServer(t, stream("id: 1\ndata: a\n\ndata: b\n\n"), stream("data: c\n\n"), status(204));
  const source = open(t, url, { ...quick, dedupe: 10 });
  const { data } = record(source);
  await until(() => source.readyState === EventSource.CLOSED);
  assert.deepEqual(data, ["a", "b", "c"]);
});

for (const [what, text] of Object.entries({
  "a line": `data: ${"a".repeat(100)}`,
  "an event": "data: a\n".repeat(10),
  "an event's topics": "topic: a\n".repeat(10),
  "an event's topics, even empty ones,": "topic\n".repeat(20),
  "an event's types": "event: a\n".repeat(10),
})) {
  test(`${what} beyond the limit ends the source`, bounded, async (t) => {
    const { url, requests } = await startScriptedServer(t, stream(text, { end: "stays" }));
    const source = open(t, url, { ...quick, maxEventLength: 50 });
    await assert.rejects(source[Symbol.asyncIterator]().next(), RangeError);
    assert.equal(requests.length, 1);
  });
}

test("comments, unknown fields and blocks without data have no limit together", bounded, async (t) => {
  const text = [":\n", "unknown: field\n", "retry: 10\n", "id: 1\n\n"].map((line) => line.repeat(50)).join("");
  const { url } = await startScriptedServer(t, stream(`${text}data: a\n\n`, { end: "stays" }));
  const { data } = record(open(t, url, { ...quick, maxEventLength: 50 }));
  await until(() => data.length === 1);
});

test("who iterates gets every event in order, across reconnections, and then the end", bounded, async (t) => {
  const { url } = await startScriptedServer(
    t, stream("event: start\ndata\nid: 0\n\nevent: x\ndata: a\nid: 1\n\ndata: b\nid: 2\n\n", hub), stream("data: c\n\n"), status(204),
  );
  const seen = [];
  for await (const { type, data } of open(t, url, quick)) {
    seen.push(`${type} ${data}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  assert.deepEqual(seen, ["x a", "message b", "message c"]);
});

test("who leaves the loop closes the source", bounded, async (t) => {
  const { url, requests } = await startScriptedServer(t, stream("data: a\n\n", { end: "stays" }));
  const source = open(t, url);
  for await (const { data } of source) {
    assert.equal(data, "a");
    break;
  }
  assert.equal(source.readyState, EventSource.CLOSED);
  await requests[0].ended;
});

test("while who iterates is busy, no more is read than buffers hold", bounded, async (t) => {
  let written = 0;
  const { url } = await startScriptedServer(t, async (response) => {
    response.writeHead(200, { "Content-Type": "text/event-stream" });
    const closed = once(response, "close");
    const block = `data: ${"a".repeat(10_000)}\n\n`;
    while (!response.destroyed) {
      written += block.length;
      if (!response.write(block)) await Promise.race([new Promise((resolve) => response.once("drain", resolve)), closed]);
    }
  });
  const source = open(t, url);
  const iterator = source[Symbol.asyncIterator]();
  await iterator.next();
  // Until the server can write no more.
  let before;
  do {
    before = written;
    await new Promise((resolve) => setTimeout(resolve, 300));
  } while (written !== before);
  assert.ok(written < 32 * 1024 * 1024, `${written} bytes are under way`);
  let read = 0;
  while (read < before + 1_000_000) read += (await iterator.next()).value.data.length;
  assert.ok(written > before, "it reads on when it is ready");
  await iterator.return();
});

test("a topic that is closed ends its subscription without another request", bounded, async (t) => {
  const closing = stream("data: a\n\nevent: close\ndata: done\n\n", hub);
  for (const [path, asked] of [["/topics/a", 1], ["/topics?topic=a", 1], ["/topics/a/*", 2], ["/topics?topic=a&topic=b", 2]]) {
    const { url, requests } = await startScriptedServer(t, closing, status(204));
    const source = open(t, new URL(path, url), quick);
    const events = [];
    for await (const { type, data } of source) events.push([type, data]);
    assert.deepEqual(events, [["message", "a"], ["close", "done"]]);
    assert.equal(requests.length, asked, path);
  }
});

test("the names of a hub's own events mean nothing where no hub speaks", bounded, async (t) => {
  const types = ["start", "gap", "ping", "close"];
  const page = stream(types.map((type) => `event: ${type}\ndata: ${type}\n\n`).join(""));
  const { url, requests } = await startScriptedServer(t, page, page, status(204));
  const source = open(t, url, quick);
  const [heard, seen] = [[], []];
  for (const type of types) source.addEventListener(type, ({ data }) => heard.push(data));
  for await (const { type } of source) seen.push(type);
  assert.deepEqual([heard, seen, requests.length], [[...types, ...types], [...types, ...types], 3]);
});

/** Opens a source that the end of the test closes. */
function open(t, url, options) {
  const source = new EventSource(url, options);
  t.after(() => source.close());
  return source;
}

/** Keeps what a source says. */
function record(source) {
  const [data, errors] = [[], []];
  source.addEventListener("message", (event) => data.push(event.data));
  source.addEventListener("error", ({ error, response, retryIn }) => errors.push({ error, response, retryIn, readyState: source.readyState }));
  return { data, errors };
}
