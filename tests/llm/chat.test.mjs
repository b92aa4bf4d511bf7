// The chat page, as a person uses it, with a real language model. Screenshots are left in target/screenshots/.

import assert from "node:assert/strict";
import { after, test } from "node:test";

import { startChromium } from "../browser/support/chromium.mjs";
import { lowContrasts } from "../browser/support/contrast.mjs";
import { Hub, root } from "../browser/support/hub.mjs";
import { until } from "../browser/support/until.mjs";
import { startGateway } from "./support/gateway.mjs";
import { Model, questions } from "./support/model.mjs";
import { startTap } from "./support/tap.mjs";

/** For how many seconds an answer may take: a busy machine leaves a model little of its core. */
const PATIENCE = 240;

const bounded = { timeout: 2 * PATIENCE * 1000 };
const model = await Model.start({ after });
const browser = await startChromium({ after });
const long = (await model.answer(questions.long)).trim();
const short = (await model.answer(questions.short)).trim();

test("an answer is seen as it comes, and whole in the end", bounded, async (t) => {
  const gateway = await startGateway(t, model);
  const { calls } = await model.counts();
  const chat = await Chat.open(t, gateway);
  await chat.ask(questions.long);
  await chat.begins();
  await chat.shows("#state", "answering …");
  await chat.screenshot("answering");
  await chat.answers([long]);
  await chat.shows("#state", "ready");
  await chat.shows(".remark", "The answer has reached its maximum length.");
  assert.equal((await model.counts()).calls - calls, 1);

  await chat.ask(questions.short);
  await chat.answers([long, short]);
  await chat.shows(".remark", "");
  assert.ok(await chat.page.locator("#again").isHidden());
  assert.deepEqual(await chat.questions(), [questions.long, questions.short]);
  await chat.close();
});

test("a reload in the middle of an answer goes on with it, and the model is asked once", bounded, async (t) => {
  const gateway = await startGateway(t, model);
  const { calls } = await model.counts();
  const chat = await Chat.open(t, gateway);
  await chat.ask(questions.short);
  await chat.answers([short]);
  await chat.ask(questions.long);
  await chat.begins();
  for (let round = 0; round < 2; round++) {
    await chat.page.reload();
    await chat.begins();
  }
  assert.equal((await model.counts()).running, 1, "the reloads were in the middle");
  await chat.answers([short, long]);
  assert.deepEqual(await chat.questions(), [questions.short, questions.long]);
  await chat.page.reload();
  await chat.answers([short, long]);
  assert.equal((await model.counts()).calls - calls, 2);
  await chat.close();
});

test("a reload before the answer has begun asks no second time", bounded, async (t) => {
  const gateway = await startGateway(t, model);
  const { calls } = await model.counts();
  const chat = await Chat.open(t, gateway);
  // The request reaches the gateway, and its answer does not reach the page.
  await chat.page.route("**/v1/chat/completions", async (route) => {
    if (route.request().method() === "POST") await route.fetch().catch(() => {});
    else await route.continue();
  });
  await chat.ask(questions.short);
  await until(async () => (await model.counts()).calls > calls);
  await chat.page.unroute("**/v1/chat/completions");
  await chat.page.reload();
  await chat.answers([short]);
  assert.equal((await model.counts()).calls - calls, 1);
  await chat.close();
});

test("a second window watches the same answer, and can not stop it", bounded, async (t) => {
  const gateway = await startGateway(t, model);
  const { calls } = await model.counts();
  const chat = await Chat.open(t, gateway);
  await chat.ask(questions.long);
  await chat.begins();
  await chat.page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
  await chat.page.getByRole("button", { name: "Copy link" }).click();
  await chat.shows("#copied", "Copied.");
  const link = await chat.page.evaluate(() => navigator.clipboard.readText());
  assert.equal(link, await chat.page.getByRole("link", { name: "Open in a second window" }).getAttribute("href"));
  const other = await Chat.open(t, gateway, { at: link });
  await other.begins();
  assert.deepEqual(await other.questions(), [questions.long]);
  assert.ok(await other.page.locator("#stop").isHidden());
  assert.ok(await other.page.locator("#ask").isHidden());
  assert.equal((await model.counts()).running, 1, "it was in the middle");
  await other.screenshot("watching");
  await other.answers([long]);
  await chat.answers([long]);
  assert.equal((await model.counts()).calls - calls, 1);
  await other.close();
  await chat.close();
});

for (const way of ["button", "Escape"]) {
  test(`stopping with the ${way} stops the model, and all windows say so`, bounded, async (t) => {
    const gateway = await startGateway(t, model);
    const chat = await Chat.open(t, gateway);
    await chat.ask(questions.long);
    await chat.begins();
    const other = await Chat.open(t, gateway, { at: chat.page.url() });
    await other.begins();
    assert.equal((await model.counts()).running, 1);
    if (way === "button") await chat.page.getByRole("button", { name: "Stop" }).click();
    else await chat.page.keyboard.press("Escape");
    for (const window of [chat, other]) await window.shows(".remark", "Stopped.");
    await until(async () => (await model.counts()).running === 0);
    const [text] = await chat.texts();
    assert.ok(text && long.startsWith(text) && text !== long, text);
    assert.deepEqual(await other.texts(), [text]);
    await chat.screenshot(`stopped-${way}`);

    // It is kept so, and can be asked again.
    await chat.page.reload();
    await chat.shows(".remark", "Stopped.");
    assert.deepEqual(await chat.texts(), [text]);
    await chat.page.getByRole("button", { name: "Try again" }).click();
    await chat.begins();
    await chat.page.getByRole("button", { name: "Stop" }).waitFor();
    await other.close();
    await chat.close();
  });
}

test("a refusal of the upstream is told in its own words", bounded, async (t) => {
  const gateway = await Hub.start(t, ["--upstream", model.url]);
  const chat = await Chat.open(t, gateway);
  await chat.ask(questions.short);
  await chat.shows(".remark", "Incorrect API key provided");
  await chat.shows("#state", "ready");
  await chat.screenshot("refused");
  await chat.close();
});

test("a connection that is lost comes back, and nothing is lost or doubled", bounded, async (t) => {
  const gateway = await startGateway(t, model);
  const tap = await startTap(t, gateway);
  const chat = await Chat.open(t, tap);
  await chat.ask(questions.long);
  await chat.begins();
  for (let round = 1; round <= 3; round++) {
    assert.equal((await model.counts()).running, 1, "it is cut in the middle");
    tap.cut();
    await until(() => tap.asked().match(/^last-event-id: /gim)?.length === round);
  }
  await chat.answers([long]);
  await chat.close();
});

test("code and what is bold are seen as such while they come, and HTML as text", bounded, async (t) => {
  const chat = await Chat.open(t, await startGateway(t, model));
  const render = (text) =>
    chat.page.evaluate(async (text) => {
      const element = document.createElement("div");
      (await import("/console/markup.js")).render(element, text);
      return element.innerHTML;
    }, text);
  const cases = {
    "a <b>b</b> & **c** `d**e`": "a &lt;b&gt;b&lt;/b&gt; &amp; <strong>c</strong> <code>d**e</code>",
    "a\n```js\nb < c;\n\n**d**\n```\ne": "a\n<pre><code>b &lt; c;\n\n**d**\n</code></pre>e",
    "```\na\n```\n```\nb\n```": "<pre><code>a\n</code></pre><pre><code>b\n</code></pre>",
    "```js\nstill com": "<pre><code>still com</code></pre>",
    "a ** b * c `": "a ** b * c `",
  };
  for (const [text, html] of Object.entries(cases)) assert.equal(await render(text), html);
  await chat.close();
});

test("a hub without an upstream says so", bounded, async (t) => {
  const hub = await Hub.start(t);
  const chat = await Chat.open(t, hub);
  await chat.page.getByText("This hub has no upstream, so there is no model to ask.").waitFor();
  await chat.shows("#state", "no upstream");
  assert.ok(await chat.page.getByLabel("Message").isHidden());
  assert.match(await chat.page.locator(".command").textContent(), /^tidings serve --upstream /);
  await chat.screenshot("no-upstream");
  await chat.close();
});

for (const colorScheme of ["light", "dark"]) {
  test(`it is fit to be seen in ${colorScheme} mode, wide and narrow`, bounded, async (t) => {
    const gateway = await startGateway(t, model);
    const chat = await Chat.open(t, gateway, { colorScheme });
    await chat.screenshot(`empty-${colorScheme}`);
    await chat.ask(`${questions.short} ${"unbreakable".repeat(20)}\nin two lines`);
    await chat.page.getByRole("button", { name: "Stop" }).click();
    await chat.shows(".remark", "Stopped.");
    await chat.ask(questions.long);
    await chat.begins();
    for (const width of [1200, 800, 400, 320]) {
      await chat.page.setViewportSize({ width, height: 900 });
      const needed = await chat.page.evaluate(() => document.documentElement.scrollWidth);
      assert.ok(needed <= width, `${needed} pixels are needed of ${width}`);
      await chat.screenshot(`${colorScheme}-${width}`);
    }
    assert.deepEqual(await chat.page.evaluate(lowContrasts), []);
    await chat.close();
  });
}

test("it is used without a mouse, and every control has a name", bounded, async (t) => {
  const gateway = await startGateway(t, model);
  const chat = await Chat.open(t, gateway);
  const { keyboard } = chat.page;
  await keyboard.type("What is");
  await keyboard.press("Shift+Enter");
  await keyboard.type("an event?");
  await keyboard.press("Enter");
  await until(async () => (await chat.questions())[0] === "What is\nan event?");
  await chat.page.getByRole("button", { name: "Stop" }).waitFor();
  await keyboard.press("Escape");
  await chat.shows(".remark", "Stopped.");
  await chat.page.locator("h1").click();
  const stops = [];
  for (;;) {
    await keyboard.press("Tab");
    const name = await chat.page.evaluate(() => {
      const { activeElement: focused } = document;
      if (focused === document.body) return null;
      return getComputedStyle(focused).outlineStyle !== "none" && (focused.labels?.[0] ?? focused).innerText.trim();
    });
    if (name === null) break;
    stops.push(name);
  }
  assert.deepEqual(stops, ["Console", "Chat", "Doctor", "Try again", "Copy link", "Open in a second window", "Message", "Send", "Model", "New chat"]);
  await chat.page.getByRole("button", { name: "New chat" }).press("Enter");
  await until(async () => (await chat.questions()).length === 0);
  await chat.close();
});

test("a link to anything but a stream of the hub is no answer", bounded, async (t) => {
  const gateway = await startGateway(t, model);
  const said = JSON.stringify({ choices: [{ delta: { content: "what somebody has published" } }] });
  await fetch(`${gateway.url}/topics/fake`, { method: "POST", body: said });
  const ofAnother = `http://localhost:9/streams/${"A".repeat(22)}`;
  for (const url of [`${gateway.url}/topics/fake?from=start`, `${gateway.url}/streams/../topics/fake?from=start`, ofAnother, "streams/x"]) {
    const chat = await Chat.open(t, gateway, { at: `${gateway.url}/chat#${new URLSearchParams({ stream: url, question: "Who are you?" })}` });
    await chat.shows("#notice", "This link does not lead to an answer of this hub.");
    assert.deepEqual([await chat.questions(), await chat.texts()], [[], []], url);
    await chat.close();
  }
});

/** The chat page in a browser. */
class Chat {
  static async open(t, hub, { colorScheme = "light", at = `${hub.url}/chat` } = {}) {
    const context = await browser.newContext({ colorScheme, viewport: { width: 1000, height: 800 }, reducedMotion: "reduce" });
    t.after(() => context.close());
    const page = await context.newPage();
    const errors = [];
    page.on("pageerror", (error) => errors.push(String(error)));
    page.on("console", (entry) => {
      // What the browser itself says of a hub that refuses, or can't be reached.
      const own = entry.text().startsWith("Failed to load resource: ");
      if (["error", "warning"].includes(entry.type()) && !own) errors.push(`${entry.text()} (${entry.location().url})`);
    });
    await page.goto(at);
    return new Chat(page, errors);
  }

  constructor(page, errors) {
    this.page = page;
    this.errors = errors;
  }

  async ask(question) {
    await this.page.getByLabel("Message").fill(question);
    await this.page.getByRole("button", { name: "Send" }).click();
  }

  questions() {
    return this.page.locator(".question").allTextContents();
  }

  texts() {
    return this.page.locator(".answer").allTextContents();
  }

  /** Waits until the last answer is in its middle. */
  async begins() {
    await until(async () => {
      const text = (await this.texts()).at(-1);
      return text?.length > 60 && long.startsWith(text);
    }, PATIENCE);
  }

  /** Waits for these answers, which are the model's own. */
  async answers(expected) {
    let texts;
    await until(async () => {
      texts = await this.texts();
      return texts.length === expected.length && texts.every((text, index) => text === expected[index]);
    }, PATIENCE).catch(() => assert.deepEqual(texts, expected));
    await this.page.locator("#turns[role=log] > [aria-busy=false]").last().waitFor();
  }

  async shows(selector, expected) {
    let shown;
    await until(async () => (shown = await this.page.locator(selector).last().textContent()) === expected).catch(() => {
      assert.equal(shown, expected);
    });
  }

  async screenshot(name) {
    // What was scrolled or resized just now is drawn first.
    await this.page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))));
    await this.page.screenshot({ path: `${root}target/screenshots/chat-${name}.png` });
  }

  /** Ends the page, which must not have logged an error. */
  async close() {
    await this.page.close();
    assert.deepEqual(this.errors, []);
  }
}
