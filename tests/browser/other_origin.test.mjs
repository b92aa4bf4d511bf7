// Pages of other sites: one that the hub lists, one that it does not, and one that took the hub for its own host.

import assert from "node:assert/strict";
import { test } from "node:test";

import { startChromium } from "./support/chromium.mjs";
import { CuttingProxy, behind } from "./support/cutting_proxy.mjs";
import { Hub } from "./support/hub.mjs";
import { startScriptedServer, stream } from "./support/scripted_server.mjs";
import { startSite } from "./support/site.mjs";
import { until } from "./support/until.mjs";

const bounded = { timeout: 60_000 };

test("a page of a listed origin follows, resumes and publishes with credentials", bounded, async (t) => {
  const site = await startSite(t);
  const hub = await Hub.start(t, ["--retry", "50ms", "--allow-origin", site]);
  const proxy = await CuttingProxy.start(t, hub);
  proxy.cutting = (number) => (number === 1 ? behind("\n\n") : undefined);
  const page = await openSite(t, site);
  // Chromium forgets what it has not yet handed to the page when a response breaks off: without `start` it has no ID.
  proxy.seen = () => until(async () => (await seen(page)).started);

  await follow(page, proxy.url);
  await until(() => proxy.streams.length === 2 && proxy.streams[1].status === 200);
  const published = await post(page, proxy.url, { type: "application/json", data: '{"celsius": 21}' });
  assert.equal(published.status, 200);
  assert.ok(JSON.parse(published.text).id);
  await until(async () => (await seen(page)).data.length === 1);
  assert.deepEqual(await seen(page), { started: true, data: ['{"celsius": 21}'], state: 1 });

  const [first, second] = proxy.streams;
  for (const { headers } of [first, second]) {
    assert.equal(headers.origin, site);
    assert.match(headers.cookie, /who=me/, "sent with credentials");
  }
  assert.equal(first.headers["last-event-id"], undefined);
  assert.ok(second.headers["last-event-id"]);
  assert.deepEqual(writes(proxy), [["OPTIONS", 204], ["POST", 200]]);
});

test("a page of a listed origin can read why it is refused", bounded, async (t) => {
  const site = await startSite(t);
  const hub = await Hub.start(t, ["--allow-origin", site]);
  const proxy = await CuttingProxy.start(t, hub);
  const page = await openSite(t, site);

  await hub.publish("news", "the last", "?close=done");
  const refused = await post(page, proxy.url, { type: "application/json", data: "{}" });
  assert.equal(refused.status, 409);
  assert.match(JSON.parse(refused.text).detail, /closed/);
});

test("a page of a listed origin stops an LLM's answer with tidings.js", bounded, async (t) => {
  const site = await startSite(t);
  const event = `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content: "so" } }] })}\n\n`;
  const model = await startScriptedServer(t, stream(event, { end: "stays" }));
  const hub = await Hub.start(t, ["--allow-origin", site, "--upstream", new URL(model.url).origin]);
  const page = await openSite(t, site);

  await page.evaluate(async (hub) => {
    const { EventSource } = await import(`${hub}/tidings.js`);
    const body = JSON.stringify({ model: "m", stream: true, messages: [{ role: "user", content: "?" }] });
    const headers = { "Content-Type": "application/json" };
    globalThis.source = new EventSource(`${hub}/v1/chat/completions`, { method: "POST", body, headers });
    await new Promise((resolve) => source.addEventListener("message", resolve, { once: true }));
  }, hub.url);
  assert.equal(model.requests.length, 1);
  await page.evaluate(() => source.stop());
  await model.requests[0].ended;
});

test("a page of an origin that is not listed sees nothing and publishes nothing", bounded, async (t) => {
  const site = await startSite(t);
  const hub = await Hub.start(t, ["--retry", "50ms", "--allow-origin", "https://app.example"]);
  const proxy = await CuttingProxy.start(t, hub);
  const page = await openSite(t, site);

  await hub.publish("news", "from the hub's own people");
  await follow(page, proxy.url, "?from=start");
  await until(async () => (await seen(page)).state === 2);
  assert.deepEqual((await seen(page)).data, []);
  assert.equal(proxy.streams[0].headers.origin, site);

  // With a preflight, which is where it ends.
  const preflighted = await post(page, proxy.url, { type: "application/json", data: '"forged"' });
  assert.match(preflighted.error, /Failed to fetch/);
  assert.deepEqual(writes(proxy), [["OPTIONS", 403]]);

  // Without: browsers send such a request first, and then keep the answer from the page.
  for (const mode of ["cors", "no-cors"]) {
    const before = writes(proxy).length;
    const simple = await post(page, proxy.url, { type: "text/plain", data: "forged", mode });
    assert.ok(simple.error || simple.status === 0, JSON.stringify(simple));
    assert.deepEqual(writes(proxy).slice(before), [["POST", 403]], mode);
  }
  const answer = await submitForm(page, proxy.url);
  assert.equal(answer.status(), 403);
  assert.match((await answer.json()).detail, new RegExp(`"${site}".*--allow-origin`));

  // A sandboxed frame has no origin to speak of.
  await page.goto(site);
  await page.setContent('<iframe sandbox="allow-scripts" srcdoc="<title>A frame</title>"></iframe>');
  const before = writes(proxy).length;
  await post(page.frames()[1], proxy.url, { type: "text/plain", data: "forged", mode: "no-cors" });
  assert.deepEqual(writes(proxy).slice(before), [["POST", 403]]);
  assert.equal(proxy.requests.at(-1).headers.origin, "null");

  assert.deepEqual((await hub.history("news")).map(({ data }) => data), ["from the hub's own people"]);
});

test("a page whose host name was made to lead to the hub gets nothing and publishes nothing", bounded, async (t) => {
  const hub = await Hub.start(t);
  const browser = await startChromium(t, "--host-resolver-rules=MAP rebound.example 127.0.0.1");
  const page = await browser.newPage();

  const opened = await page.goto(`http://rebound.example:${hub.port}/topics/news?from=start`);
  assert.equal(opened.status(), 421);
  assert.match((await opened.json()).detail, /--allow-host/);
  const refused = await post(page, `http://rebound.example:${hub.port}`, { type: "text/plain", data: "forged" });
  assert.equal(refused.status, 421);
  assert.deepEqual(await hub.history("news"), []);
});

async function openSite(t, site) {
  const page = await (await startChromium(t)).newPage();
  await page.goto(site);
  // Cookies belong to a host, on any port: this one is the hub's as well.
  await page.evaluate(() => (document.cookie = "who=me"));
  return page;
}

/** Opens an EventSource with credentials that keeps what it hears in the page. */
const follow = (page, hub, query = "") =>
  page.evaluate((url) => {
    globalThis.started = false;
    globalThis.data = [];
    globalThis.source = new EventSource(url, { withCredentials: true });
    source.addEventListener("start", () => (started = true));
    source.onmessage = (event) => data.push(event.data);
  }, `${hub}/topics/news${query}`);

const seen = (page) => page.evaluate(() => ({ started, data, state: source.readyState }));

const post = (page, hub, { type, data, mode = "cors" }) =>
  page.evaluate(
    async ({ hub, type, data, mode }) => {
      const options = { method: "POST", body: data, headers: { "Content-Type": type }, mode, credentials: "include" };
      try {
        const response = await fetch(`${hub}/topics/news`, options);
        return { status: response.status, text: await response.text() };
      } catch (error) {
        return { error: String(error) };
      }
    },
    { hub, type, data, mode },
  );

/** Submits a form, which needs no script at all, and resolves to what is shown then. */
async function submitForm(page, hub) {
  const answered = page.waitForResponse((response) => response.request().method() === "POST");
  await page.evaluate((hub) => {
    document.body.innerHTML = `<form method="post" enctype="text/plain" action="${hub}/topics/news"><input name="a" value="forged"></form>`;
    document.forms[0].submit();
  }, hub);
  return answered;
}

/** Method and status of each request but GET. */
const writes = (proxy) => proxy.requests.filter(({ method }) => method !== "GET").map(({ method, status }) => [method, status]);
