// The console, as a person uses it. Screenshots are left in target/screenshots/.

import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";

import { startChromium } from "./support/chromium.mjs";
import { Hub, root, run } from "./support/hub.mjs";
import { until } from "./support/until.mjs";

const bounded = { timeout: 60_000 };

test("updates from the page and from a terminal appear at once", bounded, async (t) => {
  const hub = await Hub.start(t);
  const console = await Console.open(t, hub);
  await console.state("following news");
  await console.follow("builds/*");
  await console.state("following builds/*");

  await console.publish({ topic: "builds/42", type: "failed", data: "it's <b>red</b>\nin two lines" });
  await console.receipt("published as number 1");
  await console.rows([["builds/42 failed", "it's <b>red</b>\nin two lines"]]);

  // The commands it shows do what it does.
  await console.form("Publish").getByLabel("Data").fill("it's green");
  const publish = run(t, "sh", ["-c", await console.page.locator("#publish-command").textContent()]);
  assert.equal((await publish.ended).code, 0);
  await console.rows([["builds/42 failed", "it's green"], ["builds/42 failed", "it's <b>red</b>\nin two lines"]]);
  const subscribe = run(t, "sh", ["-c", `exec ${await console.page.locator("#follow-command").textContent()}`]);
  const [first] = await once(subscribe.stdout, "data");
  assert.match(String(first), /^:\nretry: /);

  await hub.publish("news", "not below builds/");
  await hub.publish("builds/43", "");
  await console.rows([["builds/43", ""], ["builds/42 failed", "it's green"], ["builds/42 failed", "it's <b>red</b>\nin two lines"]]);
  await console.page.getByRole("button", { name: "Clear" }).click();
  await console.rows([]);
  await console.close();
});

test("the history is shown when it is asked for", bounded, async (t) => {
  const hub = await Hub.start(t);
  await hub.publish("news", "old");
  const console = await Console.open(t, hub);
  await console.state("following news");
  await hub.publish("news", "new");
  await console.rows([["news", "new"]]);

  await console.page.getByLabel("with history").check();
  await console.follow("news");
  await console.rows([["news", "new"], ["news", "old"]]);
  await console.close();
});

test("the connection is seen to go and to come back", bounded, async (t) => {
  const flags = ["--retry", "100ms"];
  const hub = await Hub.start(t, flags);
  const console = await Console.open(t, hub);
  await console.state("following news");
  await hub.stop();
  await console.state("connection lost, reconnecting …");
  await console.screenshot("reconnecting");
  await console.publish({ topic: "news", data: "into the void" });
  await console.receipt("the hub can't be reached");

  const again = await Hub.start(t, flags, hub.port);
  await console.state("following news");
  await again.publish("news", "back");
  // The history was in memory and is gone, so it can't be known whether something was missed.
  await console.rows([["news", "back"], ["news gap", /^Some updates are missing \(.+\)\.$/]]);

  await console.page.getByRole("button", { name: "Stop" }).click();
  await console.state("not connected");
  await console.close();
});

test("a refusal and an end say why", bounded, async (t) => {
  const hub = await Hub.start(t, ["--retry", "100ms"]);
  const console = await Console.open(t, hub);
  await console.state("following news");

  await console.publish({ topic: "news", type: "gap", data: "forged" });
  const refused = await fetch(`${hub.url}/topics/news?type=gap`, { method: "POST", body: "forged" });
  await console.receipt((await refused.json()).detail);
  await console.screenshot("refused");

  await hub.publish("news", "the last", "?close=done");
  await console.state("ended: the topic is closed");
  await console.rows([["news close", "done"], ["news", "the last"]]);
  await console.follow("a*b");
  const unfollowed = await fetch(`${hub.url}/topics/a*b`, { headers: { Accept: "application/json" } });
  await console.state(`ended: ${(await unfollowed.json()).detail}`);
  await console.screenshot("ended");
  await console.close();
});

test("a topic with empty or dotted segments is the topic that was typed", bounded, async (t) => {
  const hub = await Hub.start(t);
  const console = await Console.open(t, hub);
  for (const topic of ["a//b", "a/../b", "/a", "https://example.com/1?x#y", "100 % ä"]) {
    await console.follow(topic);
    await console.state(`following ${topic}`);
    await console.publish({ topic, data: "here" });
    await console.rows([[topic, "here"]]);
  }
  await console.close();
});

test("a burst keeps the page small", bounded, async (t) => {
  const hub = await Hub.start(t);
  const console = await Console.open(t, hub);
  await console.state("following news");
  const publish = hub.command(["publish", "news", "--lines"]);
  publish.stdin.end(Array.from({ length: 20_000 }, (_, number) => `${number}\n`).join(""));
  await console.shows("#count", "20000 (the newest 500 are shown)");
  const rows = console.page.locator("#events pre");
  assert.deepEqual([await rows.count(), await rows.first().textContent()], [500, "19999"]);
  await console.close();
});

for (const colorScheme of ["light", "dark"]) {
  test(`it is fit to be seen in ${colorScheme} mode, wide and narrow`, bounded, async (t) => {
    const hub = await Hub.start(t);
    const console = await Console.open(t, hub, { colorScheme });
    await console.screenshot(`empty-${colorScheme}`);
    await console.follow("*");
    await console.state("following *");
    await hub.publish("news", "Hello, world");
    await hub.publish("news", '{"celsius": 21, "place": "Oslo"}', "?type=weather");
    await hub.publish("builds/42", "test result: ok. 138 passed; 0 failed; 2 ignored; finished in 4.31s\n\n".repeat(2));
    await hub.publish(`a/very/long/topic/${"without-end".repeat(12)}`, "unbreakable".repeat(60), "?type=long");
    await hub.publish("news", "");
    await console.publish({ topic: "news", type: "gap", data: "unbreakable".repeat(30) });
    await console.shows("#count", "5");
    await console.page.locator("#receipt.bad").waitFor();

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
  await console.state("following news");
  const { keyboard } = console.page;
  const stops = [];
  for (;;) {
    await keyboard.press("Tab");
    const stop = await console.page.evaluate(() => {
      const { activeElement: focused } = document;
      if (focused === document.body) return null;
      return {
        name: focused.ariaLabel ?? (focused.labels?.[0] ?? focused).innerText.trim(),
        outlined: getComputedStyle(focused).outlineStyle === "solid",
      };
    });
    if (!stop) break;
    assert.ok(stop.outlined, `${stop.name} is seen to have the focus`);
    stops.push(stop.name);
  }
  const terminal = "The same from a terminal";
  assert.deepEqual(stops, [
    "Topic", "Follow", "Stop", "with history", terminal, "Topic", "Type", "Data", "Publish", terminal, "Clear",
  ]);

  const data = console.page.getByLabel("Data");
  await data.fill("by keyboard");
  await data.press("Control+Enter");
  await console.rows([["news", "by keyboard"]]);
  await console.close();
});

/** The console in a browser. */
class Console {
  static async open(t, hub, { colorScheme = "light" } = {}) {
    const browser = await startChromium(t);
    const page = await browser.newPage({ colorScheme, viewport: { width: 1200, height: 900 }, reducedMotion: "reduce" });
    const errors = [];
    page.on("pageerror", (error) => errors.push(String(error)));
    page.on("console", (entry) => {
      // What the browser itself says of a hub that is gone, or that refuses.
      const own = entry.text().startsWith("Failed to load resource: ") && entry.location().url.includes("/topics/");
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

  async follow(topic) {
    await this.form("Follow").getByLabel("Topic").fill(topic);
    await this.form("Follow").getByRole("button", { name: "Follow" }).click();
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

  /** Waits for these rows, newest first: topic and type, and data. */
  async rows(expected) {
    let shown;
    const matches = ([what, data], index) =>
      shown[index][0] === what && (data instanceof RegExp ? data.test(shown[index][1]) : data === shown[index][1]);
    await until(async () => {
      shown = await this.page.evaluate(() =>
        [...document.querySelectorAll("#events li")].map(({ children: [, what, data] }) => [what.textContent, data.textContent]),
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

/** In the page: texts whose contrast is under 4.5, the least of WCAG 2.2 at level AA. */
function lowContrasts() {
  const channels = (color) => color.match(/[\d.]+/g).map(Number);
  const luminance = (color) => {
    const [red, green, blue] = channels(color).map((value) => {
      const part = value / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const background = (element) => {
    const color = getComputedStyle(element).backgroundColor;
    return channels(color)[3] === 0 ? background(element.parentElement) : color;
  };
  const contrast = (one, other) => {
    const [light, dark] = [luminance(one), luminance(other)].sort((a, b) => b - a);
    return (light + 0.05) / (dark + 0.05);
  };
  const own = (element) => [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
  const texts = [...document.body.querySelectorAll("*")].filter(
    (element) => element.matches("input:not([type=checkbox]), textarea") || own(element),
  );
  return texts
    .filter((element) => !element.disabled)
    .map((element) => [element.id || element.className || element.localName, contrast(getComputedStyle(element).color, background(element))])
    .filter(([, ratio]) => ratio < 4.5);
}
