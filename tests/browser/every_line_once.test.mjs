// A real log, followed by curl, a browser, and `tidings subscribe`, each over connections that are cut again and again.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";

import { startChromium } from "./support/chromium.mjs";
import { CuttingProxy, afterBytes, behind, insideCharacter } from "./support/cutting_proxy.mjs";
import { followWithCommand, followWithCurl, followWithPage } from "./support/followers.mjs";
import { Hub, root } from "./support/hub.mjs";
import { until } from "./support/until.mjs";

const BATCHES = 12;

test("three clients that are cut see every line once, in order", { timeout: 240_000 }, async (t) => {
  const log = realLog();
  const hub = await Hub.start(t, ["--retry", "50ms"]);
  const browser = await startChromium(t);

  const start = async (follow) => {
    const proxy = await CuttingProxy.start(t, hub);
    proxy.cutting = cuttings(proxy);
    const following = follow(proxy.url);
    // Chromium forgets what it has not yet handed to the page when a response breaks off: without `start` it has no ID.
    proxy.seen = async () => (await following).started;
    return { proxy, follower: await following };
  };
  const clients = [
    await start((url) => followWithCurl(t, log, `${url}/topics/builds`)),
    await start((url) => followWithPage(browser, log, url, "/topics/builds")),
    await start((url) => followWithCommand(hub, log, url, "builds")),
  ];

  // Each is cut when it has seen `start` and nothing else, and is kept away while the first lines are published.
  await Promise.all(clients.map(({ proxy }) => proxy.firstCut));
  const publisher = hub.command(["publish", "builds", "--lines", "--close", "done"]);
  const size = Math.ceil(log.length / BATCHES);
  for (let from = 0; from < log.length; from += size) {
    const lines = log.slice(from, from + size);
    if (!publisher.stdin.write(lines.join("\n") + "\n")) await once(publisher.stdin, "drain");
    if (from === 0) {
      await until(async () => (await hub.history("builds")).length >= Math.min(size, 1000));
      clients.forEach(({ proxy }) => proxy.release());
    }
    // So that later lines arrive live, at clients that are cut while they follow.
    await Promise.all(clients.map(({ follower }) => follower.reached(from)));
  }
  publisher.stdin.end();
  assert.equal((await publisher.ended).code, 0);

  for (const { proxy, follower } of clients) {
    await follower.finished();
    assert.deepEqual(follower.notes, [], `${follower.name} was told of something else`);

    const [beforeHead, beforeRetry] = proxy.cuts.slice(1, 3).map(String);
    assert.ok(!beforeHead.includes("\r\n\r\n"), "cut inside the head");
    assert.ok(beforeRetry.endsWith("retr"), "cut between the head and the first event");
    const inside = proxy.cuts.filter((cut) => !/\n\n(\r\n)?$/.test(cut.subarray(-4))).length;
    assert.ok(inside >= 5, `only ${inside} cuts were inside an event`);
    assert.ok(proxy.cuts.some((cut) => cut.at(-1) >= 0xc0), "cut inside a character");
    t.diagnostic(`${follower.name}: ${log.length} lines, ${proxy.cuts.length} cuts, ${inside} of them inside an event`);
  }
});

/**
 * Where the connections of one client are cut: before the first event, in the head, before an event, inside a
 * character, and then at lengths that look random and are the same in every run.
 */
function cuttings(proxy) {
  let random = 1;
  proxy.firstCut = new Promise((resolve) => (proxy.wasCut = resolve));
  return (number) => {
    if (number === 1) {
      return (received) => {
        const length = behind("\n\n")(received.subarray(received.indexOf("event: start")));
        if (length < 0) return -1;
        proxy.hold();
        proxy.wasCut();
        return received.indexOf("event: start") + length;
      };
    }
    // Behind Content-Type: Chromium takes a head that ends early for a whole one, and gives up on one without a type.
    if (number === 2) return afterBytes(60);
    if (number === 3) return behind("retr");
    if (number % 4 === 0) return insideCharacter(200);
    // Every now and then one lasts, or the longest line would never arrive.
    if (number % 4 === 2) return afterBytes(300_000);
    random = (random * 48_271) % 2_147_483_647;
    return afterBytes(400 + (random % 40_000));
  };
}

/** The history of this project as `git` shows it, with lines among it that are hard to carry. */
function realLog() {
  const text = execFileSync("git", ["log", "--reverse", "--patch", "--no-color"], { cwd: root, maxBuffer: 1 << 30 });
  const lines = text.toString().split("\n").filter((line) => !line.includes("\r")).slice(0, 6000);
  const hard = [
    "", "", " ", "  two spaces ahead, two behind  ", "\ta tab", "data: forged", "id: forged", "event: forged", ":",
    "\u{feff}a byte order mark", "a\u{2028}line separator", "null \0 byte", "grüße, 世界, 🦀".repeat(3000), "🦀".repeat(40),
  ];
  for (let at = 100; at < lines.length; at += 400) lines.splice(at, 0, ...hard);
  assert.ok(lines.length >= 2000 && lines.some((line) => line === ""), `the log has only ${lines.length} lines`);
  return lines;
}
