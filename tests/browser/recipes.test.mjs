// The recipes of `examples/browser`, served as their documentation says, and used.

import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, test } from "node:test";

import { startChromium } from "./support/chromium.mjs";
import { CuttingProxy } from "./support/cutting_proxy.mjs";
import { Hub, root, run } from "./support/hub.mjs";
import { until } from "./support/until.mjs";

const bounded = { timeout: 30_000 };
const browser = await startChromium({ after });
const site = await startSite({ after });

/** One black pixel. */
const PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg==";

test("plain HTML: it shows text as text, resumes, and tells the end and a refusal", bounded, async (t) => {
  const { hub, proxy, cut, page } = await open(t, "plain.html");
  await hub.publish("news", "<b>bold</b>");
  await shows(page, "Following", ["<b>bold</b>"]);
  cut();
  await hub.publish("news", "second", "?close=done");
  await shows(page, "The end", ["<b>bold</b>", "second"]);
  assert.equal(proxy.cuts.length, 1);

  const refused = await Hub.start(t, ["--allow-origin", site]);
  await refused.publish("news", "never seen");
  await page.route("**/topics/**", (route) =>
    route.fulfill({
      status: 403,
      headers: { "Access-Control-Allow-Origin": site, "Access-Control-Allow-Credentials": "true" },
      contentType: "application/problem+json",
      body: JSON.stringify({ detail: "subscribing is not allowed" }),
    }),
  );
  await page.goto(`${site}/plain.html?hub=${refused.url}`);
  await shows(page, "subscribing is not allowed", []);
});

test("React: StrictMode opens one stream, another topic closes it and opens its own", bounded, async (t) => {
  const { hub, proxy, page } = await open(t, "react.html");
  await shows(page, "open", []);
  await hub.publish("news", "first");
  await hub.publish("news", "second");
  await shows(page, "open", ["first", "second"]);
  assert.equal(proxy.streams.length, 1, "one stream in StrictMode");

  await hub.publish("sport", "1:0");
  await page.getByRole("button", { name: "Show sport" }).click();
  await shows(page, "open", ["1:0"]);
  assert.equal(proxy.streams.length, 2);
  await hub.publish("sport", "the last", "?close=done");
  await shows(page, "closed", ["1:0", "the last"]);
  // The stream of the topic that is no longer shown was closed.
  await until(async () => /^tidings_subscriptions 0$/m.test(await (await fetch(`${hub.url}/metrics`)).text()));
});

test("htmx: `sse-swap` takes each type to its place, and `sse-close` is the topic's end", bounded, async (t) => {
  const { hub, proxy, cut, page } = await open(t, "htmx.html");
  await hub.publish("news", "<li>Hello, <b>world</b></li>");
  await hub.publish("news", "21 °C", "?type=weather");
  await until(async () => (await page.locator("#weather").innerText()) === "21 °C");
  // htmx marks what is new with a class of its own for a moment.
  await page.locator("#events .htmx-added").waitFor({ state: "detached" });
  assert.equal(await page.locator("#events").innerHTML(), "<li>Hello, <b>world</b></li>");

  // What comes while the hub refuses is not missed.
  let refused = 0;
  await page.route("**/topics/**", (route) => (refused++ < 1 ? route.fulfill({ status: 503 }) : route.continue()));
  cut();
  await hub.publish("news", "<li>after the break</li>");
  await hub.publish("news", "<p>over</p>", "?close=done");
  await until(async () => (await page.locator("#state").innerText()) === "done");
  assert.deepEqual(await page.locator("#events > *").allInnerTexts(), ["Hello, world", "after the break", "over"]);
  assert.ok(refused >= 2, "it was refused once, and came back");
  assert.equal(proxy.streams.at(-1).headers["last-event-id"]?.[0], "~");
});

test("pictures: a file by reference and a small one in Base64 are shown, and one is published", bounded, async (t) => {
  const data = await mkdtemp(join(tmpdir(), "tidings-"));
  t.after(() => rm(data, { recursive: true }));
  const { hub, page } = await open(t, "pictures.html", ["--data", data]);
  const file = Buffer.from(PIXEL, "base64");
  await page.getByLabel("Picture").setInputFiles({ name: "one.png", mimeType: "image/png", buffer: file });
  await page.getByRole("button", { name: "Publish" }).click();
  await until(async () => (await page.locator("#receipt").textContent()) === "Published");
  await hub.publish("album", PIXEL, "?type=icon");
  const pictures = () =>
    page.evaluate(() => [...document.images].map(({ alt, naturalWidth, src }) => [alt, naturalWidth, src.split(":")[0]]));
  await until(async () => (await pictures()).filter(([, width]) => width > 0).length === 2);
  assert.deepEqual(await pictures(), [["one.png", 1, "http"], ["icon", 1, "blob"]]);
});

/** Serves the recipes, and resolves to their origin. */
async function startSite(t) {
  const child = run(t, "node", [`${root}examples/browser/serve.mjs`, "0"]);
  child.stderr.pipe(process.stderr);
  const [line] = await Promise.race([
    once(createInterface({ input: child.stdout }), "line"),
    child.ended.then(({ code }) => assert.fail(`it ended with code ${code}`)),
  ]);
  return new URL(line.split(/\s+/).at(-1)).origin;
}

/** Opens a recipe that follows a hub through a proxy. After `cut` its stream breaks with the next event. */
async function open(t, recipe, flags = []) {
  const hub = await Hub.start(t, ["--allow-origin", site, "--retry", "50ms", ...flags]);
  const proxy = await CuttingProxy.start(t, hub);
  let isCut = false;
  let passed = 0;
  proxy.cutting = (number) => number === 1 && ((received) => (isCut ? passed : ((passed = received.length), -1)));
  const cut = () => (isCut = true);

  const context = await browser.newContext();
  t.after(() => context.close());
  const page = await context.newPage();
  const errors = [];
  page.on("pageerror", (error) => errors.push(String(error)));
  t.after(() => assert.deepEqual(errors, []));
  await page.goto(`${site}/${recipe}?hub=${proxy.url}`);
  return { hub, proxy, cut, page };
}

async function shows(page, state, items) {
  const shown = async () => [
    await page.locator("#state").textContent(),
    await page.locator("#events li").allTextContents(),
  ];
  await until(async () => JSON.stringify(await shown()) === JSON.stringify([state, items])).catch(async () => {
    assert.deepEqual(await shown(), [state, items]);
  });
}
