// Pages that follow a topic with `web/tidings.js`, and keep what they hear.

import assert from "node:assert/strict";

import { until } from "./until.mjs";

/** How a page follows: with a connection of its own, or one for all tabs. */
export const WAYS = { alone: "EventSource", shared: "SharedEventSource" };

/** So that no test waits for long. */
export const quick = { maxBackoff: 50 };

/**
 * Opens `path` of the hub at `hub` in a new tab of `context`, which is at `at`, with the class `name`. The page has
 * `source` and `heard`, what it heard as `type data`.
 */
export async function follow(context, hub, path, { name = WAYS.alone, options = quick, at = `${hub}/healthz` } = {}) {
  const page = await context.newPage();
  await page.goto(at);
  await page.evaluate(listen, { hub, path, name, options });
  return page;
}

/** In a page: begins to follow. */
export async function listen({ hub, path, name, options }) {
  const module = await import(`${hub}/${name === "EventSource" ? "tidings" : "tidings-shared"}.js`);
  globalThis.heard = [];
  globalThis.opened = 0;
  globalThis.source = new module[name](`${hub}${path}`, options);
  for (const type of ["message", "gap", "close"]) {
    source.addEventListener(type, ({ data }) => heard.push(type === "message" ? data : `${type} ${data}`));
  }
  source.addEventListener("open", () => opened++);
}

/** Resolves when the page is connected, with a place to come back to. */
export const connected = (page) => until(() => page.evaluate(() => source.readyState === 1 && source.lastEventId !== ""));

/** Resolves when the pages have heard `expected`, each once and in order, and nothing else. */
export async function hear(pages, expected) {
  for (const [number, page] of pages.entries()) {
    await until(() => page.evaluate((count) => heard.length >= count, expected.length)).catch(() => {});
    assert.deepEqual(await page.evaluate(() => heard), expected, `page ${number}`);
  }
}

/** Numbered updates, some of which take several lines and bytes. */
export function numbered(from, to) {
  return Array.from({ length: to - from }, (_, at) => `${from + at} ${"grüße 🦀\n".repeat((from + at) % 5)}.`);
}

/** Publishes `all` to `topic`, in one request. */
export async function publishAll(hub, topic, all) {
  const response = await fetch(`${hub.url}/topics/${topic}`, {
    method: "POST",
    headers: { "Content-Type": "application/x-ndjson" },
    body: all.map((data) => `${JSON.stringify({ data })}\n`).join(""),
  });
  assert.equal(response.status, 200, await response.text());
}

/**
 * Freezes a page as the browser does with one that has been hidden for long: its timers and messages sleep. Resolves to
 * what thaws it. If it is not `announced` the page is just busy. (The browser itself refuses to freeze a page that is
 * visible, and under playwright all are; `tidings_lifecycle.test.mjs` does without playwright.)
 */
export async function freeze(page, { announced }) {
  const session = await page.context().newCDPSession(page);
  await session.send("Debugger.enable");
  if (announced) await page.evaluate(() => document.dispatchEvent(new Event("freeze")));
  const paused = new Promise((resolve) => session.once("Debugger.paused", resolve));
  await session.send("Debugger.pause");
  // Something has to run for it to pause.
  page.evaluate(() => {}).catch(() => {});
  await paused;
  return async () => {
    await session.send("Debugger.resume");
    await session.detach();
    if (announced) await page.evaluate(() => document.dispatchEvent(new Event("resume")));
  };
}

/** Resolves when the hub has one subscriber. */
export const shareOne = (hub) =>
  until(async () => /^tidings_subscriptions (\d+)$/m.exec(await (await fetch(`${hub.url}/metrics`)).text())?.[1] === "1");
