// The console, as a person uses it. Screenshots are left in target/screenshots/.

import assert from "node:assert/strict";
import { once } from "node:events";
import { after, test } from "node:test";

import { startChromium } from "./support/chromium.mjs";
import { lowContrasts } from "./support/contrast.mjs";
import { Hub, root, run } from "./support/hub.mjs";
import { Key } from "./support/tokens.mjs";
import { until } from "./support/until.mjs";

const bounded = { timeout: 60_000 };
const browser = await startChromium({ after });

test("a newcomer presses the one button that stands out, and sees the event", bounded, async (t) => {
  const hub = await Hub.start(t);
  const console = await Console.open(t, hub);
  const began = Date.now();
  const colored = await console.page.evaluate(() => {
    const plain = getComputedStyle(document.querySelector("#clear")).backgroundColor;
    const seen = [...document.querySelectorAll("button")].filter((button) => button.checkVisibility() && !button.ariaPressed);
    return seen.filter((button) => getComputedStyle(button).backgroundColor !== plain).map((button) => button.innerText);
  });
  assert.deepEqual(colored, ["Publish"]);
  await console.page.getByRole("button", { name: "Publish", exact: true }).click();
  await console.rows([["news", "Hello, world"]]);
  await console.receipt("published as update 1");
  t.diagnostic(`${Date.now() - began} ms`);
  await console.close();
});

test("updates from the page and from a terminal appear at once", bounded, async (t) => {
  const hub = await Hub.start(t);
  const console = await Console.open(t, hub);
  await console.state("watching everything");
  await console.watch("builds/*, deploys");
  await console.state("watching builds/*, deploys");

  await console.publish({ topic: "builds/42", type: "failed", data: "it's <b>red</b>\nin two lines" });
  await console.receipt("published as update 1");
  await console.rows([["builds/42 failed", "it's <b>red</b>\nin two lines"]]);
  await console.publish({ topic: "news", data: "elsewhere" });
  await console.receipt("published as update 2; this topic is not watched");

  // The commands it shows do what it does.
  await console.form("Publish").getByLabel("Topic").fill("deploys");
  await console.form("Publish").getByLabel("Data").fill("it's green");
  const publish = run(t, "sh", ["-c", await console.page.locator("#publish-command").textContent()]);
  assert.equal((await publish.ended).code, 0);
  await console.rows([["deploys", "it's green"], ["builds/42 failed", "it's <b>red</b>\nin two lines"]]);
  const subscribe = run(t, "sh", ["-c", `exec ${await console.page.locator("#watch-command").textContent()}`]);
  const [first] = await once(subscribe.stdout, "data");
  assert.match(String(first), /^:\nretry: /);

  await console.page.getByRole("button", { name: "Clear" }).click();
  await console.rows([]);
  await hub.publish("builds/43", "");
  await console.rows([["builds/43", ""]]);
  await console.close();
});

test("what is shown can be filtered by text and by topic", bounded, async (t) => {
  const hub = await Hub.start(t);
  const console = await Console.open(t, hub);
  await console.state("watching everything");
  for (const [topic, data] of [["a", "one Apple"], ["b", "two pears"], ["a", "three pears"]]) await hub.publish(topic, data);
  await console.rows([["a", "three pears"], ["b", "two pears"], ["a", "one Apple"]]);

  const filter = console.page.getByLabel("Filter");
  await console.page.keyboard.press("/");
  await console.page.keyboard.type("PEARS");
  assert.equal(await filter.inputValue(), "PEARS");
  await console.rows([["a", "three pears"], ["b", "two pears"]]);
  await console.form("Topics").getByRole("button", { name: /^a/ }).click();
  await console.rows([["a", "three pears"]]);
  // What comes is filtered as well.
  for (const [topic, data] of [["b", "four pears"], ["a", "five"], ["a", "six pears"]]) await hub.publish(topic, data);
  await console.rows([["a", "six pears"], ["a", "three pears"]]);
  await filter.fill("nothing like it");
  await console.rows([]);
  await console.shows("#why-nothing", "No event matches the filter.");
  await filter.fill("");
  await console.page.getByRole("button", { name: "only a" }).click();
  await console.shows("#count", "6");
  await console.close();
});

test("a paused list stands still, and goes on with what came", bounded, async (t) => {
  const hub = await Hub.start(t);
  const console = await Console.open(t, hub);
  await console.state("watching everything");
  await hub.publish("a", "before");
  await console.rows([["a", "before"]]);
  await console.page.keyboard.press("p");
  await hub.publish("a", "during 1");
  await hub.publish("a", "during 2");
  await console.page.getByRole("button", { name: "Resume (2 new)" }).waitFor();
  await console.rows([["a", "before"]]);
  // A filter that is set meanwhile holds for them too.
  await console.page.getByLabel("Filter").fill("2");
  await console.rows([]);
  await console.page.locator("#pause").click();
  await console.rows([["a", "during 2"]]);
  await console.page.getByLabel("Filter").fill("");
  await console.rows([["a", "during 2"], ["a", "before"]]);
  await console.page.locator("#pause").click();
  await hub.publish("a", "during 3");
  await console.page.getByRole("button", { name: "Resume (1 new)" }).waitFor();
  await console.page.locator("h1").click();
  await console.page.keyboard.press("p");
  await console.rows([["a", "during 3"], ["a", "during 2"], ["a", "before"]]);
  await console.close();
});

test("JSON is made pretty, and a raw frame is what a subscriber is sent", bounded, async (t) => {
  const hub = await Hub.start(t);
  const console = await Console.open(t, hub);
  await console.state("watching everything");
  await hub.publish("a", '{"b":[1,{"c":2}]}');
  await console.rows([["a", '{\n  "b": [\n    1,\n    {\n      "c": 2\n    }\n  ]\n}']]);
  await console.page.getByLabel("Pretty JSON").uncheck();
  await console.rows([["a", '{"b":[1,{"c":2}]}']]);

  await hub.publish("a", " two\n\nlines\n", "?type=x&retry=700&id=my-own");
  await hub.publish("a", "");
  await console.page.getByLabel("Raw frames").check();
  const shown = () => console.page.locator("#live pre").allTextContents();
  await until(async () => (await shown()).length === 3);
  const response = await fetch(`${hub.url}/topics/a?from=start`);
  let sent = "";
  for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
    sent += chunk;
    if (sent.split("\nid: ").length === 4 && sent.endsWith("\n\n")) break;
  }
  assert.equal((await shown()).reverse().join(""), sent.replace(/^:\nretry: \d+\n\n?/, ""));
  await console.close();
});

test("the history is read page by page, and replayed from any update", bounded, async (t) => {
  const hub = await Hub.start(t);
  for (let number = 0; number < 130; number++) await hub.publish("a", `${number}`);
  const console = await Console.open(t, hub);
  await console.state("watching everything");
  await console.page.getByRole("button", { name: "History" }).click();
  const all = Array.from({ length: 130 }, (_, number) => ["a", `${number}`]);
  await console.rows(all.slice(0, 100));
  await console.page.getByRole("button", { name: "Next page" }).click();
  await console.rows(all);
  assert.ok(await console.page.getByRole("button", { name: "Next page" }).isHidden());

  const row = console.page.locator("#history li").filter({ has: console.page.getByText("127", { exact: true }) });
  await row.getByRole("button").click();
  await console.rows([["a", "129"], ["a", "128"], ["a", "127"]]);
  await hub.publish("a", "130");
  await console.rows([["a", "130"], ["a", "129"], ["a", "128"], ["a", "127"]]);
  // By keyboard, from the second row.
  await console.page.locator("#live").focus();
  for (const key of ["ArrowDown", "ArrowDown", "r"]) await console.page.keyboard.press(key);
  await console.rows([["a", "130"], ["a", "129"]]);
  await console.close();
});

test("the connection is seen to go and to come back", bounded, async (t) => {
  const flags = ["--retry", "100ms"];
  const hub = await Hub.start(t, flags);
  const console = await Console.open(t, hub);
  await console.state("watching everything");
  await hub.stop();
  await console.state("connection lost, reconnecting …");
  await console.screenshot("reconnecting");
  await console.publish({ topic: "news", data: "into the void" });
  await console.receipt("cannot reach the hub");

  const again = await Hub.start(t, flags, hub.port);
  await console.state("watching everything");
  await again.publish("news", "back");
  // The history was in memory and is gone, so it can't be known whether something was missed.
  await console.rows([["news", "back"], [" gap", /^Some updates are missing \(.+\)\.$/]]);
  await console.close();
});

test("a refusal and an end say why, in the hub's own words", bounded, async (t) => {
  const hub = await Hub.start(t, ["--retry", "100ms"]);
  const console = await Console.open(t, hub);
  await console.publish({ topic: "news", type: "gap", data: "forged" });
  const refused = await fetch(`${hub.url}/topics/news?type=gap`, { method: "POST", body: "forged" });
  await console.receipt((await refused.json()).detail);

  await console.watch("news");
  await console.state("watching news");
  await hub.publish("news", "the last", "?close=done");
  await console.state("ended: the topic is closed");
  await console.rows([["news close", "done"], ["news", "the last"]]);
  await console.watch("a*b");
  const unwatched = await fetch(`${hub.url}/topics/a*b`, { headers: { Accept: "application/json" } });
  await console.state(`ended: ${(await unwatched.json()).detail}`);
  await console.screenshot("refused");
  await console.close();

  const key = await Key.create(t);
  const closed = await Hub.start(t, [...key.flags, "--anonymous", "publish"]);
  const other = await Console.open(t, closed);
  const forbidden = await fetch(`${closed.url}/topics/a`);
  assert.equal(forbidden.status, 401);
  const { detail } = await forbidden.json();
  await other.state(`ended: ${detail}`);
  await other.page.getByRole("button", { name: "History" }).click();
  await other.shows("#notice", detail);
  await other.publish({ topic: "news", data: "into the dark" });
  await other.receipt("published as update 1");
  await other.close();
});

test("a topic with empty or dotted segments is the topic that was typed", bounded, async (t) => {
  const hub = await Hub.start(t);
  const console = await Console.open(t, hub);
  for (const topic of ["a//b", "a/../b", "/a", "https://example.com/1?x#y", "100 % ä"]) {
    await console.watch(topic);
    await console.state(`watching ${topic}`);
    await console.publish({ topic, data: "here" });
    await console.rows([[topic, "here"]]);
  }
  await console.close();
});

test("a burst keeps the page small, and its topic's rate is seen", bounded, async (t) => {
  const hub = await Hub.start(t);
  const console = await Console.open(t, hub);
  await console.state("watching everything");
  const publish = hub.command(["publish", "news", "--lines"]);
  publish.stdin.end(Array.from({ length: 20_000 }, (_, number) => `${number}\n`).join(""));
  await console.shows("#count", "20,000");
  const rows = console.page.locator("#live pre");
  assert.deepEqual([await rows.count(), await rows.first().textContent()], [500, "19999"]);
  const topic = console.form("Topics").getByRole("button", { name: /^news/ });
  await until(async () => /^news[\d.]+K?\/s20K$/.test(await topic.textContent()));
  await console.close();
});

test("the counters say how the hub is, and why connections ended", bounded, async (t) => {
  const hub = await Hub.start(t);
  const console = await Console.open(t, hub);
  await console.state("watching everything");
  const figure = (name) => console.page.locator(".figure", { hasText: name }).locator("strong");
  await until(async () => (await figure("Subscribers").textContent()) === "1");
  const other = new AbortController();
  const { body } = await fetch(`${hub.url}/topics/a`, { signal: other.signal });
  await until(async () => (await figure("Subscribers").textContent()) === "2");
  await console.shows("#tallies dd:first-of-type", "2");
  other.abort();
  await body.cancel().catch(() => {});
  await console.shows("#tallies dt:nth-of-type(2)", "disconnected by the client");
  await fetch(`${hub.url}/topics/a?from=start&type=x`, { method: "PUT" });
  await until(async () => / 405 errors$/.test(await console.page.locator("#incidents li").first().textContent()));
  await hub.publish("a", "late?");
  await until(async () => /^[\d.]+ MiB$/.test(await figure("Memory").textContent()));
  const publishing = setInterval(() => hub.publish("a", "more"), 50);
  await until(async () => /^[1-9][\d.]*\/s$/.test(await figure("Delivered").textContent()));
  await until(async () => /^[\d.]+ ms$/.test(await figure("Lag").textContent()));
  clearInterval(publishing);
  await console.close();
});

test("each topic says how many follow it", bounded, async (t) => {
  const hub = await Hub.start(t);
  const console = await Console.open(t, hub);
  await console.state("watching everything");
  for (const topic of ["builds/42", "news"]) await hub.publish(topic, "x");
  const subscribers = (topic) => console.page.locator(`#topics [data-topic="${topic}"] .subscribers`).textContent();
  await until(async () => (await subscribers("news")) === "1" && (await subscribers("builds/42")) === "1");
  const other = new AbortController();
  const { body } = await fetch(`${hub.url}/topics?topic=builds/*&topic=builds/42`, { signal: other.signal });
  await until(async () => (await subscribers("builds/42")) === "2");
  assert.equal(await subscribers("news"), "1");
  other.abort();
  await body.cancel().catch(() => {});
  await until(async () => (await subscribers("builds/42")) === "1");
  await console.close();
});

for (const colorScheme of ["light", "dark"]) {
  test(`it is fit to be seen in ${colorScheme} mode, wide and narrow`, bounded, async (t) => {
    const hub = await Hub.start(t);
    const console = await Console.open(t, hub, { colorScheme });
    await console.state("watching everything");
    await console.screenshot(`empty-${colorScheme}`);
    await hub.publish("news", "Hello, world");
    await hub.publish("news", '{"celsius": 21, "place": "Oslo"}', "?type=weather");
    await hub.publish("builds/42", "test result: ok. 138 passed; 0 failed; 2 ignored; finished in 4.31s\n\n".repeat(2));
    await hub.publish(`a/very/long/topic/${"without-end".repeat(12)}`, "unbreakable".repeat(60), "?type=long");
    await hub.publish("news", "");
    await console.publish({ topic: "news", type: "gap", data: "unbreakable".repeat(30) });
    await console.shows("#count", "5");
    await console.page.locator("#receipt.bad").waitFor();
    await console.form("Topics").getByRole("button", { name: /^a\/very/ }).click();
    await console.form("Publish").getByText("From a terminal").click();

    for (const width of [1200, 800, 400, 320]) {
      await console.page.setViewportSize({ width, height: 900 });
      const needed = await console.page.evaluate(() => document.documentElement.scrollWidth);
      assert.ok(needed <= width, `${needed} pixels are needed of ${width}`);
      await console.screenshot(`${colorScheme}-${width}`);
    }
    assert.deepEqual(await console.page.evaluate(lowContrasts), []);
    await console.close();
  });
}

test("it is used without a mouse, and every control has a name", bounded, async (t) => {
  const hub = await Hub.start(t);
  const console = await Console.open(t, hub);
  await console.state("watching everything");
  await hub.publish("news", "one");
  await console.rows([["news", "one"]]);
  await until(() => console.form("Topics").getByRole("button").isVisible());
  await console.page.locator("#behind").waitFor();
  const { keyboard } = console.page;
  const stops = [];
  for (;;) {
    await keyboard.press("Tab");
    const stop = await console.page.evaluate(() => {
      const { activeElement: focused } = document;
      if (focused === document.body) return null;
      return {
        name: focused.ariaLabel ?? (focused.labels?.[0] ?? focused).innerText.trim().split(/\s/).join(" "),
        outlined: getComputedStyle(focused).outlineStyle !== "none",
      };
    });
    if (!stop) break;
    assert.ok(stop.outlined, `${stop.name} is seen to have the focus`);
    stops.push(stop.name.replace(/ .*\/s.*/, ""));
  }
  assert.deepEqual(stops, [
    "Console", "Chat", "Doctor", "Token", "Topic", "Type", "Data", "Publish", "From a terminal", "Live", "History", "Watch", "Watch", "Filter", "Pause", "Clear",
    "Pretty JSON", "Raw frames", "Live events", "news", "Subscriptions furthest behind",
  ]);

  const data = console.page.getByLabel("Data");
  await data.fill("by keyboard");
  await data.press("Control+Enter");
  await console.rows([["news", "by keyboard"], ["news", "one"]]);
  await console.close();
});

/** The console in a browser. */
class Console {
  static async open(t, hub, { colorScheme = "light" } = {}) {
    const context = await browser.newContext({ colorScheme, viewport: { width: 1200, height: 900 }, reducedMotion: "reduce" });
    t.after(() => context.close());
    const page = await context.newPage();
    const errors = [];
    page.on("pageerror", (error) => errors.push(String(error)));
    page.on("console", (entry) => {
      // What the browser itself says of a hub that is gone, or that refuses.
      const own = entry.text().startsWith("Failed to load resource: ") && /\/(topics|metrics|subscribers)\b/.test(entry.location().url);
      if (["error", "warning"].includes(entry.type()) && !own) errors.push(`${entry.text()} (${entry.location().url})`);
    });
    await page.goto(`${hub.url}/`);
    return new Console(page, errors);
  }

  constructor(page, errors) {
    this.page = page;
    this.errors = errors;
  }

  form(name) {
    return this.page.getByRole("region", { name, exact: true });
  }

  async watch(topics) {
    await this.form("Events").getByLabel("Watch").fill(topics);
    await this.form("Events").getByRole("button", { name: "Watch" }).click();
  }

  async publish({ topic, type = "", data }) {
    await this.form("Publish").getByLabel("Topic").fill(topic);
    await this.form("Publish").getByLabel("Type").fill(type);
    await this.form("Publish").getByLabel("Data").fill(data);
    await this.form("Publish").getByRole("button", { name: "Publish" }).click();
  }

  state(text) {
    return this.shows("#state", text);
  }

  receipt(text) {
    return this.shows("#receipt", text);
  }

  async shows(selector, expected) {
    let shown;
    await until(async () => (shown = await this.page.locator(selector).textContent()) === expected).catch(() => {
      assert.equal(shown, expected);
    });
  }

  /** Waits for these rows of the list that is shown: topic and type, and data. */
  async rows(expected) {
    let shown;
    const matches = ([what, data], index) =>
      shown[index][0] === what && (data instanceof RegExp ? data.test(shown[index][1]) : data === shown[index][1]);
    await until(async () => {
      shown = await this.page.evaluate(() =>
        [...document.querySelectorAll(".list:not([hidden]) li")].map((row) =>
          [".topic", "pre"].map((part) => row.querySelector(part).textContent),
        ),
      );
      return shown.length === expected.length && expected.every(matches);
    }).catch(() => assert.deepEqual(shown, expected));
  }

  screenshot(name) {
    return this.page.screenshot({ path: `${root}target/screenshots/console-${name}.png`, fullPage: true });
  }

  /** Ends the page, which must not have logged an error. */
  async close() {
    await this.page.close();
    assert.deepEqual(this.errors, []);
  }
}
