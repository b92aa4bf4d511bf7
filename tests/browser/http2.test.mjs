// A page over HTTPS: as many streams as it likes on one connection of HTTP/2.

import assert from "node:assert/strict";
import { test } from "node:test";

import { startChromium } from "./support/chromium.mjs";
import { Hub } from "./support/hub.mjs";

const STREAMS = 100;

/** A page of a hub with a certificate for development. */
async function open(t, path = "/") {
  const hub = await Hub.start(t, ["--tls-dev"]);
  assert.match(hub.url, /^https:/);
  const browser = await startChromium(t, "--ignore-certificate-errors");
  const context = await browser.newContext({ ignoreHTTPSErrors: true });
  const page = await context.newPage();
  await page.goto(hub.url + path);
  return { hub, page };
}

test("a hundred streams on one connection are all live, and requests do not wait for them", { timeout: 60_000 }, async (t) => {
  const { page } = await open(t, "/healthz");
  const found = await page.evaluate(async (count) => {
    const publish = async (topic, body) => (await fetch(`/topics/${topic}`, { method: "POST", body })).status;
    const sources = Array.from({ length: count }, (_, number) => new EventSource(`/topics/t/${number % 10}`));
    const heard = (source, type) => new Promise((resolve) => source.addEventListener(type, resolve, { once: true }));
    await Promise.all(sources.map((source) => heard(source, "start")));
    const rounds = [];
    for (let round = 0; round < 3; round += 1) {
      const all = Promise.all(sources.map(async (source) => (await heard(source, "message")).data));
      for (let topic = 0; topic < 10; topic += 1) await publish(`t/${topic}`, `${topic} ${round}`);
      rounds.push(await all);
    }
    const health = await (await fetch("/healthz")).text();
    const [{ nextHopProtocol }] = performance.getEntriesByType("navigation");
    for (const source of sources) source.close();
    return { rounds, health, nextHopProtocol };
  }, STREAMS);
  assert.equal(found.nextHopProtocol, "h2");
  assert.equal(found.health, "ok\n");
  const expected = (round) => Array.from({ length: STREAMS }, (_, number) => `${number % 10} ${round}`);
  assert.deepEqual(found.rounds, [0, 1, 2].map(expected));
});

test("tidings.js follows and publishes over HTTPS", { timeout: 60_000 }, async (t) => {
  const { page } = await open(t, "/healthz");
  const data = await page.evaluate(async () => {
    const { EventSource } = await import("/tidings.js");
    const source = new EventSource("/topics/a");
    await new Promise((resolve) => source.addEventListener("start", resolve, { once: true }));
    const message = new Promise((resolve) => source.addEventListener("message", resolve, { once: true }));
    await fetch("/topics/a", { method: "POST", body: "over TLS" });
    const { data } = await message;
    source.close();
    return data;
  });
  assert.equal(data, "over TLS");
});

test("the console shows what is published over HTTPS", { timeout: 60_000 }, async (t) => {
  const { page } = await open(t);
  await page.waitForFunction(() => document.body.textContent.length > 0);
  const update = "seen in the console over TLS";
  await page.waitForFunction(async (data) => {
    await fetch("/topics/console", { method: "POST", body: data });
    return document.body.innerText.includes(data);
  }, update, { polling: 500 });
});
