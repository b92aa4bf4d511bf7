// What `web/tidings.js` does with credentials, in Node.js against a server that does as it is told.

import assert from "node:assert/strict";
import { test } from "node:test";

import { EventSource } from "../../web/tidings.js";
import { startScriptedServer, status, stream } from "./support/scripted_server.mjs";
import { until } from "./support/until.mjs";

const bounded = { timeout: 20_000 };

/** So that no test waits for long. */
const quick = { reconnectionTime: 10, maxBackoff: 10 };
const hub = { "Tidings-Hub": "1" };

const problem = { rule: "token-expired", detail: "the token expired at 10:32:05Z, 41 s ago" };
const refusal = (code) => status(code, { "Content-Type": "application/problem+json" }, JSON.stringify(problem));
const expires = 'event: access\ndata: {"reason":"expires","in":30}\n\n';

test("401 is asked about once more with a fresh credential, and then no more", bounded, async (t) => {
  const { url, requests } = await startScriptedServer(t, refusal(401));
  const attempts = [];
  const headers = (attempt) => ({ Authorization: `Bearer ${attempts.push(attempt)}` });
  const source = open(t, url, { headers });
  await until(() => source.told.length === 1);
  assert.deepEqual(attempts, [{ number: 1, lastEventId: "" }, { number: 2, lastEventId: "", isRefused: true }]);
  assert.deepEqual(requests.map(({ headers }) => headers.authorization), ["Bearer 1", "Bearer 2"]);
  assert.equal(source.readyState, EventSource.CLOSED);
  assert.deepEqual(source.told, [{ reason: "refused", status: 401, ...problem }]);
});

test("401 after a stream is asked about again", bounded, async (t) => {
  const { url, requests } = await startScriptedServer(
    t, refusal(401), stream("data: a\nid: 1\n\n"), refusal(401), stream("data: b\nid: 2\n\n"), refusal(401),
  );
  const source = open(t, url, { headers: () => ({}) });
  await until(() => source.told.length === 1);
  assert.deepEqual([source.heard, requests.length], [["a", "b"], 6]);
});

for (const [code, options, what] of [[401, {}, "without a function that makes credentials"], [403, { headers: () => ({}) }, "of any kind"]]) {
  test(`${code} ${what} ends the source, which says why`, bounded, async (t) => {
    const { url, requests } = await startScriptedServer(t, refusal(code));
    const source = open(t, url, options);
    const finals = [];
    source.onerror = async ({ response, retryIn }) => finals.push([retryIn, (await response.json()).rule]);
    await until(() => source.told.length === 1 && finals.length === 1);
    assert.deepEqual(source.told, [{ reason: "refused", status: code, ...problem }]);
    assert.deepEqual(finals, [[undefined, problem.rule]], "and a listener for errors may read the response too");
    assert.deepEqual([source.readyState, requests.length], [EventSource.CLOSED, 1]);
  });
}

test("a refusal that is no problem document has a status alone", bounded, async (t) => {
  const { url } = await startScriptedServer(t, status(401, { "Content-Type": "text/html" }, "<h1>Who are you?</h1>"));
  const source = open(t, url, {});
  await until(() => source.told.length === 1);
  assert.deepEqual(source.told, [{ reason: "refused", status: 401, rule: undefined, detail: undefined }]);
});

test("the URL may be a function, which is called for each attempt", bounded, async (t) => {
  const { url, requests } = await startScriptedServer(t, stream("data: a\nid: 1\n\n"), stream("data: b\nid: 2\n\n"), status(204));
  const source = open(t, async ({ number, lastEventId }) => `${url}?number=${number}&last=${lastEventId}`, {});
  assert.equal(source.url, "");
  await until(() => source.readyState === EventSource.CLOSED);
  assert.deepEqual(requests.map(({ url }) => url), ["/stream?number=1&last=", "/stream?number=2&last=1", "/stream?number=3&last=2"]);
  assert.equal(source.url, `${url}?number=3&last=2`);
});

test("a function that gives no URL makes its attempt fail", bounded, async (t) => {
  const { url } = await startScriptedServer(t, stream("data: a\nid: 1\n\n", { end: "stays" }));
  const source = open(t, ({ number }) => (number === 1 ? "no url" : url), {});
  const errors = [];
  source.onerror = ({ error, retryIn }) => errors.push([error.name, typeof retryIn]);
  await until(() => source.heard.length === 1);
  assert.deepEqual(errors, [["SyntaxError", "number"]]);
});

test("a ticket is minted for each attempt, by the application or by a function", bounded, async (t) => {
  let minted = 0;
  const answer = { json: status(200, { "Content-Type": "application/json" }, JSON.stringify({ ticket: "tdt_a", url: "/elsewhere" })) };
  const application = await startScriptedServer(t, answer.json);
  const ways = {
    "an application": [application.url, () => "ticket=tdt_a"],
    "a function that gives a ticket": [async () => ({ ticket: `tdt_${++minted}`, url: "/elsewhere" }), (n) => `ticket=tdt_${n}`],
    "a function that gives its text": [() => `tdt_${++minted}`, (n) => `ticket=tdt_${n}`],
    "a function that gives a URL": [() => ({ url: `/stream?ticket=tdt_${++minted}` }), (n) => `ticket=tdt_${n}`],
  };
  for (const [name, [ticket, query]] of Object.entries(ways)) {
    minted = 0;
    const { url, requests } = await startScriptedServer(t, stream("data: a\nid: 1\n\n"), stream("data: b\nid: 2\n\n"), status(204));
    const source = open(t, url, { ticket });
    await until(() => source.readyState === EventSource.CLOSED);
    assert.deepEqual(requests.map(({ url }) => url), [1, 2, 3].map((n) => `/stream?${query(n)}`), name);
    assert.deepEqual(requests.map(({ headers }) => headers["last-event-id"]), [undefined, "1", "2"], name);
  }
  assert.deepEqual(application.requests.map(({ method }) => method), ["POST", "POST", "POST"]);
});

test("an application that refuses a ticket ends the source, and one that fails is asked again", bounded, async (t) => {
  const refusing = await startScriptedServer(t, refusal(401));
  const { url, requests } = await startScriptedServer(t, stream("data: a\nid: 1\n\n", { end: "stays" }));
  const refused = open(t, url, { ticket: refusing.url });
  await until(() => refused.told.length === 1);
  assert.deepEqual(refused.told, [{ reason: "refused", status: 401, ...problem }]);
  assert.deepEqual([refused.readyState, refusing.requests.length, requests.length], [EventSource.CLOSED, 2, 0]);

  const failing = await startScriptedServer(t, status(503), status(200, {}, "{}"), status(200, {}, '{"ticket":"tdt_a"}'));
  const source = open(t, url, { ticket: failing.url });
  await until(() => source.heard.length === 1);
  assert.equal(failing.requests.length, 3);
});

test("when a credential expires soon, the old stream is read until the new one has its first bytes", bounded, async (t) => {
  const held = [];
  const hold = (response) => held.push(response);
  const { url, requests } = await startScriptedServer(t, hold);
  let tokens = 0;
  const source = open(t, url, { headers: () => ({ Authorization: `Bearer ${++tokens}` }) });
  await until(() => held.length === 1);
  const [old] = held;
  stream(event(1) + expires, { end: "stays", headers: hub })(old);
  await until(() => held.length === 2);
  assert.deepEqual([requests[1].headers["last-event-id"], requests[1].headers.authorization], ["1", "Bearer 2"]);
  old.write(event(2) + event(3));
  await until(() => source.heard.length === 3);
  assert.equal(source.readyState, EventSource.OPEN);
  // It repeats what the old one brought meanwhile, and has more.
  stream(":\n" + event(2) + event(3) + event(4), { end: "stays", headers: hub })(held[1]);
  await until(() => source.heard.length === 4);
  await requests[0].ended;
  held[1].write(event(5));
  await until(() => source.heard.length === 5);
  assert.deepEqual(source.heard, ["1", "2", "3", "4", "5"]);
  assert.deepEqual([source.opened, source.lastEventId, requests.length], [1, "5", 2]);
  assert.deepEqual(source.told, [{ reason: "expires", status: undefined, rule: undefined, detail: undefined }]);
});

test("a new stream that is cut while it repeats loses and doubles nothing", bounded, async (t) => {
  const held = [];
  const { url, requests } = await startScriptedServer(t, (response) => held.push(response));
  const source = open(t, url, { headers: () => ({}) });
  await until(() => held.length === 1);
  stream(event(1) + expires, { end: "stays", headers: hub })(held[0]);
  await until(() => held.length === 2);
  held[0].write(event(2) + event(3));
  await until(() => source.heard.length === 3);
  stream(":\n" + event(2), { headers: hub })(held[1]);
  await until(() => held.length === 3);
  assert.equal(requests[2].headers["last-event-id"], "3");
  stream(event(4), { end: "stays", headers: hub })(held[2]);
  await until(() => source.heard.length === 4);
  assert.deepEqual(source.heard, ["1", "2", "3", "4"]);
});

test("one ID of updates to two topics is two events, also while the credential is renewed", bounded, async (t) => {
  const held = [];
  const { url } = await startScriptedServer(t, (response) => held.push(response));
  const source = open(t, url, { headers: () => ({}) });
  const same = (data) => `data: ${data}\nid: same\n\n`;
  await until(() => held.length === 1);
  stream(event(1) + expires, { end: "stays", headers: hub })(held[0]);
  await until(() => held.length === 2);
  held[0].write(same("of a"));
  await until(() => source.heard.length === 2);
  stream(":\n" + same("of a") + same("of b") + event(2), { end: "stays", headers: hub })(held[1]);
  await until(() => source.heard.length === 4);
  assert.deepEqual(source.heard, ["1", "of a", "of b", "2"]);
});

for (const [what, answer] of Object.entries({ "refused": refusal(401), "busy": status(503), "cut": (response) => response.destroy(), "empty": stream("", { headers: hub }) })) {
  test(`the old stream goes on to its end where the answer to a renewal is ${what}`, bounded, async (t) => {
    let [tokens, old] = [0, undefined];
    const first = (response) => stream(event(1) + expires, { end: "stays", headers: hub })((old = response));
    const { url, requests } = await startScriptedServer(t, first, answer, stream(event(3), { end: "stays", headers: hub }));
    const source = open(t, url, { headers: () => ({ Authorization: `Bearer ${++tokens}` }) });
    await until(() => requests.length === 2);
    await requests[1].ended;
    old.write(event(2));
    await until(() => source.heard.length === 2);
    assert.equal(source.readyState, EventSource.OPEN);
    old.end('event: access\ndata: {"reason":"expired"}\n\n');
    await until(() => source.heard.length === 3);
    assert.deepEqual([source.heard, requests[2].headers["last-event-id"]], [["1", "2", "3"], "2"]);
    assert.deepEqual(source.told.map(({ reason }) => reason), ["expires", "expired"]);
  });
}

test("a credential that always expires soon is renewed once a second at most", bounded, async (t) => {
  const { url, requests } = await startScriptedServer(t, stream(event(1) + expires, { end: "stays", headers: hub }));
  const source = open(t, url, { headers: () => ({}) });
  await until(() => requests.length === 2 && source.told.length === 2);
  const [first, second] = requests;
  await first.ended;
  await new Promise((resolve) => setTimeout(resolve, 200));
  assert.equal(requests.length, 2);
  assert.equal(source.readyState, EventSource.OPEN);
  assert.ok(second.at >= first.at);
});

test("an old stream that ends is followed by the new one that is on its way", bounded, async (t) => {
  const held = [];
  const { url, requests } = await startScriptedServer(t, (response) => held.push(response));
  const source = open(t, url, { headers: () => ({}) });
  await until(() => held.length === 1);
  stream(event(1) + expires, { end: "stays", headers: hub })(held[0]);
  await until(() => held.length === 2);
  held[0].end(event(2));
  await until(() => source.heard.length === 2);
  stream(event(2) + event(3), { end: "stays", headers: hub })(held[1]);
  await until(() => source.heard.length === 3);
  assert.deepEqual([source.heard, source.opened, requests.length], [["1", "2", "3"], 1, 2]);
});

test("a credential that no function makes is not renewed", bounded, async (t) => {
  const { url, requests } = await startScriptedServer(t, stream(event(1) + expires + event(2), { end: "stays", headers: hub }));
  const source = open(t, url, { headers: { Authorization: "Bearer a" } });
  await until(() => source.heard.length === 2);
  assert.deepEqual([source.told.length, requests.length], [1, 1]);
});

test("`access` of a server that is no hub is an event like others", bounded, async (t) => {
  const { url, requests } = await startScriptedServer(t, stream(event(1) + expires + event(2), { end: "stays" }));
  const source = open(t, url, { headers: () => ({}) });
  const events = [];
  source.addEventListener("access", (event) => events.push([event.data, "reason" in event]));
  await until(() => source.heard.length === 2);
  assert.deepEqual(events, [['{"reason":"expires","in":30}', false]]);
  assert.deepEqual([source.told, requests.length], [[], 1]);
});

test("`access` of a hub without JSON is an event like others", bounded, async (t) => {
  const page = `event: access\ndata: {"reason":\n\nevent: access\ndata: null\n\n${event(1)}`;
  const { url } = await startScriptedServer(t, stream(page, { end: "stays", headers: hub }));
  const source = open(t, url, { headers: () => ({}) });
  await until(() => source.heard.length === 1);
  assert.deepEqual(source.told, []);
});

test("a source that a hub gave a stream for a token asks for no other from then on", bounded, async (t) => {
  const as = (access) => stream("", { headers: { ...hub, "Tidings-Access": access } });
  const { url, requests } = await startScriptedServer(t, as("anonymous, partial"), as("token, partial"), as("token"), status(204));
  const source = open(t, url, {});
  await until(() => source.readyState === EventSource.CLOSED);
  assert.deepEqual(requests.map(({ url }) => url), ["/stream", "/stream", "/stream?access=token", "/stream?access=token"]);
});

const event = (number) => `data: ${number}\nid: ${number}\n\n`;

/** Opens a source that the end of the test closes, and that keeps the data that it `heard`, and what it was `told`. */
function open(t, url, options) {
  const source = Object.assign(new EventSource(url, { ...quick, ...options }), { heard: [], told: [], opened: 0 });
  t.after(() => source.close());
  source.onopen = () => source.opened++;
  source.onmessage = ({ data }) => source.heard.push(data);
  source.onaccess = ({ reason, status, rule, detail }) => source.told.push({ reason, status, rule, detail });
  return source;
}
