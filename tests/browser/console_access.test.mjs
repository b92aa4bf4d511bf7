// The console of a hub that asks for tokens. Screenshots are left in target/screenshots/.

import assert from "node:assert/strict";
import { after, test } from "node:test";

import { startChromium } from "./support/chromium.mjs";
import { lowContrasts } from "./support/contrast.mjs";
import { Hub, root } from "./support/hub.mjs";
import { Key } from "./support/tokens.mjs";
import { until } from "./support/until.mjs";

const bounded = { timeout: 60_000 };
const browser = await startChromium({ after });

test("the console asks for a token, and shows what it may, until the person drops it", bounded, async (t) => {
  const key = await Key.create(t);
  const hub = await Hub.start(t, key.flags);
  const page = await open(t, hub);
  // In words of the hub's own: in the form, in the empty list, and in the place of the counters.
  for (const place of [".access [role=alert]", "#why-nothing", "#why-hidden"]) await shows(page, place, /has no token/);
  await screenshot(page, "asks");

  const token = key.mint({ publish: ["orders/*"], read: ["orders/*", "news"] }, 600, { sub: "alice" });
  await give(page, `Bearer ${token}\n`);
  await shows(page, "#state", /^watching what you may read of everything$/);
  const claims = await page.locator(".access dl").innerText();
  for (const word of ["alice", "orders/*", "orders/*, news", "until"]) assert.ok(claims.includes(word), claims);
  assert.equal(await page.locator(".access form").isVisible(), false);
  await publish(page, "orders/42");
  await shows(page, "#receipt", /^published as update 1$/);
  await shows(page, "#live pre", /^Hello, world$/);
  await screenshot(page, "holds");
  assert.match(await page.locator("#publish-command").textContent(), /Bearer \$TOKEN/);
  assert.ok(!(await page.content()).includes(token), "and never shows the token itself");

  await publish(page, "invoices/7");
  await shows(page, "#receipt", /invoices\/7/);
  await shows(page, ".access [role=alert]", /invoices\/7/);

  await page.reload();
  await shows(page, "#state", /^watching/);
  await page.getByRole("button", { name: "Drop token" }).click();
  await shows(page, "#state", /^ended: /);
  assert.equal(await page.evaluate(() => sessionStorage.length), 0);
  await page.reload();
  await shows(page, ".access [role=alert]", /token/);
});

test("the console says that a token has expired", bounded, async (t) => {
  const key = await Key.create(t);
  const hub = await Hub.start(t, key.flags);
  const page = await open(t, hub);
  await shows(page, "#state", /^ended: /);
  await give(page, key.mint({ read: ["*"] }, 2));
  await shows(page, ".access [role=alert]", /expired at/, 30);
  await shows(page, "#state", /^ended: .*expired/, 30);
  await page.getByLabel("Token").waitFor();
  await screenshot(page, "expired");
  await give(page, key.mint({ read: ["*"] }));
  await shows(page, "#state", /^watching everything$/);
});

test("the console of a hub that everyone may read shows what is public, and takes a token when asked to", bounded, async (t) => {
  const key = await Key.create(t);
  const hub = await Hub.start(t, [...key.flags, "--anonymous", "subscribe"]);
  const page = await open(t, hub);
  await shows(page, "#state", /^watching everything$/);
  assert.equal(await page.locator("#access").isVisible(), false);
  await publish(page, "news");
  await shows(page, "#receipt", /token/);
  await page.locator("#access").waitFor();
  await give(page, key.mint({ publish: ["*"], read: ["*"] }));
  await shows(page, "#state", /^watching everything$/);
  await publish(page, "news");
  await shows(page, "#receipt", /^published/);
  await page.getByRole("button", { name: "Token", exact: true }).click();
  assert.equal(await page.locator("#access").isVisible(), false);
});

test("a text that is no JSON Web Token is sent as it is, and one that no header can have is not kept", bounded, async (t) => {
  const key = await Key.create(t);
  const hub = await Hub.start(t, key.flags);
  const page = await open(t, hub);
  await shows(page, "#state", /^ended: /);
  await give(page, "two words");
  await shows(page, ".access [role=alert]", /no spaces/);
  assert.equal(await page.evaluate(() => sessionStorage.length), 0);
  await give(page, "tdk_12345678_secret");
  await shows(page, ".access dl", /only the hub knows/);
  await shows(page, "#state", /^ended: /);
});

test("tabs with tokens do not share, and a refused token is not sent again and again", bounded, async (t) => {
  const key = await Key.create(t);
  const hub = await Hub.start(t, key.flags);
  const context = await newContext(t);
  const [one, other] = [await open(t, hub, context), await open(t, hub, context)];
  for (const page of [one, other]) await shows(page, "#state", /^ended: /);
  await give(one, key.mint({ publish: ["*"], read: ["secret"] }));
  await give(other, key.mint({ read: ["news"] }));
  for (const page of [one, other]) await shows(page, "#state", /^watching what/);
  await publish(one, "secret");
  await shows(one, "#live pre", /^Hello, world$/);
  assert.equal(await other.locator("#live li").count(), 0);

  let asked = 0;
  await other.exposeFunction("asks", () => asked++);
  await other.evaluate(() => {
    const { fetch } = globalThis;
    globalThis.fetch = (...request) => (asks(), fetch(...request));
  });
  await other.getByRole("button", { name: "Drop token" }).click();
  await shows(other, "#state", /^ended: /);
  asked = 0;
  await give(other, "wrong");
  await until(() => asked >= 2);
  await shows(other, "#state", /^ended: /);
  // A second is when it would ask again.
  await until(() => other.evaluate(() => (globalThis.began ??= performance.now()) + 2500 < performance.now()));
  assert.ok(asked <= 4, `${asked} requests: the stream, the counters, the subscriptions, the topics`);
});

test("the doctor's page sends the token of its tab, and says where to give one", bounded, async (t) => {
  const key = await Key.create(t);
  const hub = await Hub.start(t, key.flags);
  const page = await open(t, hub);
  await page.goto(`${hub.url}/doctor`);
  await shows(page, "#findings", /^S1 bad-status fetch: the answer is 401: give this tab a token/, 30);
  await page.goto(hub.url);
  await give(page, key.mint({ read: ["*"] }));
  await page.getByRole("link", { name: "Doctor" }).click();
  await shows(page, "#verdict", /shows? no fault/, 30);
});

async function newContext(t, colorScheme = "light") {
  const context = await browser.newContext({ colorScheme, viewport: { width: 1200, height: 900 }, reducedMotion: "reduce" });
  t.after(() => context.close());
  return context;
}

async function open(t, hub, context = undefined) {
  const page = await (context ?? (await newContext(t))).newPage();
  await page.goto(`${hub.url}/`);
  return page;
}

async function give(page, token) {
  await page.getByLabel("Token").fill(token);
  await page.getByRole("button", { name: "Use token" }).click();
}

async function publish(page, topic) {
  const form = page.getByRole("region", { name: "Publish", exact: true });
  await form.getByLabel("Topic").fill(topic);
  await form.getByRole("button", { name: "Publish" }).click();
}

async function shows(page, selector, expected, seconds = 10) {
  let shown;
  const element = page.locator(selector).first();
  await until(async () => expected.test((shown = (await element.textContent({ timeout: 100 }).catch(() => "")) ?? "")), seconds).catch(() =>
    assert.match(shown, expected),
  );
}

/** Leaves a picture of the page in the light and in the dark, and sees that it can be read. */
async function screenshot(page, name) {
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme });
    assert.deepEqual(await page.evaluate(lowContrasts), [], `${name}, ${colorScheme}`);
    await page.screenshot({ path: `${root}target/screenshots/console-access-${name}-${colorScheme}.png`, fullPage: true });
  }
}
