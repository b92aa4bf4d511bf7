// The page that people copy, started as its first lines say.

import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";

import { startChromium } from "./support/chromium.mjs";
import { Hub, binary, root, run } from "./support/hub.mjs";
import { startSite } from "./support/site.mjs";
import { until } from "./support/until.mjs";

const bounded = { timeout: 60_000 };

test("its one command serves a page that shows what is published", bounded, async (t) => {
  const hub = `http://127.0.0.1:${await freePort()}`;
  const { url, child } = await startExample(t, await freePort(), new URL(hub).port);
  const publish = (data, query = "") => fetch(`${hub}/topics/news${query}`, { method: "POST", body: data });
  await until(() => publish("from the history").then((response) => response.ok, () => false));

  const page = await openPage(t, url);
  await shows(page, "Following news", ["from the history"]);
  await publish("<b>live</b>");
  await publish("21 °C", "?type=weather");
  await shows(page, "Following news", ["from the history", "<b>live</b>", "Weather: 21 °C"]);

  await publish("the last", "?close=done");
  await shows(page, "Ended: the topic is closed, or the hub refused", [
    "from the history", "<b>live</b>", "Weather: 21 °C", "the last", "(closed: done)",
  ]);

  // Ctrl-C, which reaches all of them, leaves nothing behind: the output of each is closed.
  process.kill(-child.pid, "SIGINT");
  await child.ended;
});

test("it resumes when its hub comes back, and says that updates are missing", bounded, async (t) => {
  const site = await startSite(t, { "/": readFileSync(`${root}examples/event_source.html`) });
  const flags = ["--allow-origin", site, "--retry", "50ms"];
  const hub = await Hub.start(t, flags);
  const page = await openPage(t, `${site}/?hub=${hub.url}&topic=a/b`);
  await shows(page, "Following a/b", []);
  await hub.publish("a/b", "before");
  await shows(page, "Following a/b", ["before"]);
  await hub.stop();
  await shows(page, "Reconnecting …", ["before"]);
  const again = await Hub.start(t, flags, hub.port);
  await again.publish("a/b", "after");
  const gap = "(updates are missing here: the hub no longer keeps them)";
  await shows(page, "Following a/b", ["before", gap, "after"]);
});

test("it says so when the hub does not list its origin", bounded, async (t) => {
  const site = await startSite(t, { "/": readFileSync(`${root}examples/event_source.html`) });
  const hub = await Hub.start(t);
  await hub.publish("news", "not for this page");
  const page = await openPage(t, `${site}/?hub=${hub.url}`);
  await shows(page, "Ended: the topic is closed, or the hub refused", []);
});

/** Runs the example's command, and resolves to the address of the page when it is there. */
async function startExample(t, sitePort, hubPort) {
  // The history of this run alone, and not in the checkout.
  const history = await mkdtemp(join(tmpdir(), "tidings-example-"));
  t.after(() => rm(history, { recursive: true, force: true, maxRetries: 10 }));
  const child = run(t, "sh", [`${root}examples/event_source.sh`, String(sitePort), String(hubPort)], {
    env: { ...process.env, TIDINGS_BIN: binary, TIDINGS_DATA: history },
    // A group of its own, that Ctrl-C reaches as a whole.
    detached: true,
  });
  child.stderr.resume();
  const [line] = await Promise.race([
    once(createInterface({ input: child.stdout }), "line"),
    child.ended.then(({ code }) => assert.fail(`the example ended with code ${code}`)),
  ]);
  const url = /^The page +(http:\S+)$/.exec(line)?.[1];
  assert.ok(url, line);
  await until(() => fetch(url).then((response) => response.ok, () => false));
  return { url, child };
}

async function openPage(t, url) {
  const page = await (await startChromium(t)).newPage();
  await page.goto(url);
  return page;
}

async function shows(page, state, items) {
  const shown = () =>
    page.evaluate(() => ({
      state: document.querySelector("#state").textContent,
      items: [...document.querySelectorAll("#events li")].map((item) => item.textContent),
    }));
  const expected = { state, items };
  await until(async () => JSON.stringify(await shown()) === JSON.stringify(expected)).catch(async () => {
    assert.deepEqual(await shown(), expected);
  });
}

/** The example's ports are given to it, so a free one is looked for. */
async function freePort() {
  const server = net.createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}
