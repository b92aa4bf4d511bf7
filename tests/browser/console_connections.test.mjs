// The console's connections: who is behind, and why the last ones ended. Screenshots are left in target/screenshots/.

import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { after, test } from "node:test";

import { startChromium } from "./support/chromium.mjs";
import { lowContrasts } from "./support/contrast.mjs";
import { Hub, root } from "./support/hub.mjs";
import { Key } from "./support/tokens.mjs";
import { until } from "./support/until.mjs";

/** More than the sockets of a stalled reader take. */
const UPDATES = 2000;
const LINES = `{"data":"${"x".repeat(4000)}"}\n`.repeat(UPDATES);

const bounded = { timeout: 60_000 };
const browser = await startChromium({ after });

test("who is behind is listed with what it follows, and in the end with why it ended", bounded, async (t) => {
  const hub = await Hub.start(t);
  const stalled = await stall(t, hub, "/topics?topic=load&topic=builds/*");
  await publishMuch(hub, "load");
  const page = await open(t, hub, { viewport: { width: 1200, height: 1200 } });

  const [row, own] = [page.locator("#behind tbody tr").nth(0), page.locator("#behind tbody tr").nth(1)];
  await until(async () => /^builds\/\*, loadHTTP\/1\.1, not reading for \d+ s[\d.]+K?\d+ s$/.test(await text(row)));
  await until(async () => /^everything0\d+ s$/.test(await text(own)));
  const behind = await row.locator("td").nth(1).textContent();
  const { behind: told } = await (await fetch(`${hub.url}/subscribers`)).json();
  assert.equal(behind, new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 }).format(told[0].behind));

  stalled.destroy();
  const last = page.locator("#ended li").first();
  await until(async () => /^\d\d:\d\d:\d\dbuilds\/\*, loaddisconnected by the client; open for \d+ s, [\d.]+K? behind$/.test(await text(last)));
  await until(async () => (await page.locator("#behind tbody tr").count()) === 1);
});

test("the hub is asked only while the list is on the screen, and not again when it refuses", bounded, async (t) => {
  const hub = await Hub.start(t);
  const page = await open(t, hub, { viewport: { width: 400, height: 500 } });
  const asked = { survey: [], metrics: 0 };
  page.on("request", (request) => {
    if (request.url().endsWith("/subscribers")) asked.survey.push(Date.now());
    if (request.url().endsWith("/metrics")) asked.metrics++;
  });
  await until(() => asked.metrics >= 3);
  assert.deepEqual(asked.survey, []);
  await page.locator("#connections-title").scrollIntoViewIfNeeded();
  await until(() => asked.survey.length >= 3);
  const pauses = asked.survey.slice(1).map((at, number) => at - asked.survey[number]);
  assert.ok(Math.min(...pauses) > 900, `at most once a second: ${pauses}`);

  const key = await Key.create(t);
  const closed = await Hub.start(t, [...key.flags, "--anonymous", "publish"]);
  const other = await browser.newPage();
  t.after(() => other.close());
  const refused = { survey: 0, metrics: 0 };
  other.on("request", (request) => {
    if (request.url().endsWith("/subscribers")) refused.survey++;
    if (request.url().endsWith("/metrics")) refused.metrics++;
  });
  await other.setViewportSize({ width: 1200, height: 1200 });
  await other.goto(closed.url);
  await until(() => refused.metrics + refused.survey >= 2);
  // The page has asked once a second before.
  await until(() => other.evaluate(() => (globalThis.began ??= performance.now()) + 3000 < performance.now()));
  assert.deepEqual(refused, { survey: 1, metrics: 1 });
  assert.ok(await other.locator("#behind").isHidden());
});

for (const [name, colorScheme, width] of [["light", "light", 1200], ["dark", "dark", 1200], ["narrow", "dark", 320]]) {
  test(`the connections are fit to be seen, ${name}`, bounded, async (t) => {
    const hub = await Hub.start(t, ["--write-timeout", "5s"]);
    for (const target of ["/topics/load?from=start", `/topics/${"without-end".repeat(10)}`, "/topics?topic=a&topic=b&topic=c&topic=d&topic=e&topic=f"]) {
      (await stall(t, hub, target)).destroy();
    }
    await stall(t, hub, "/topics?topic=load&topic=builds/*");
    await publishMuch(hub, "load");
    await until(async () => /reason="stalled"} 1\n/.test(await (await fetch(`${hub.url}/metrics`)).text()));
    for (let number = 0; number < 12; number++) await stall(t, hub, `/topics/a/quiet/topic/${number}`);
    await stall(t, hub, `/topics/${"without-end".repeat(10)}`);
    const page = await open(t, hub, { colorScheme, viewport: { width, height: 1400 } });
    await page.locator("#connections-title").scrollIntoViewIfNeeded();
    // It is cut off in five seconds, and until then it is late.
    await stall(t, hub, "/topics?topic=load&topic=chat/lobby&from=start");
    await page.locator("#behind .late").first().waitFor();
    await page.screenshot({ path: `${root}target/screenshots/console-connections-${name}.png`, fullPage: true });
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth), 0);
    assert.deepEqual(await page.evaluate(lowContrasts), []);
  });
}

const text = (locator) => locator.textContent();

async function open(t, hub, options) {
  const context = await browser.newContext({ reducedMotion: "reduce", ...options });
  t.after(() => context.close());
  const page = await context.newPage();
  await page.goto(hub.url);
  await page.locator("#state[data-state=open]").waitFor();
  return page;
}

/** Subscribes, and reads nothing but the beginning. */
async function stall(t, hub, target) {
  const socket = connect(hub.port, "127.0.0.1");
  t.after(() => socket.destroy());
  socket.on("error", () => {});
  socket.write(`GET ${target} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`);
  await once(socket, "readable");
  return socket;
}

async function publishMuch(hub, topic) {
  const headers = { "Content-Type": "application/x-ndjson" };
  const response = await fetch(`${hub.url}/topics/${topic}`, { method: "POST", headers, body: LINES });
  assert.equal(response.status, 200);
}
