// The doctor's page, over a good way and over spoiled ones. Screenshots are left in target/screenshots/.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { after, test } from "node:test";

import { startChromium } from "./support/chromium.mjs";
import { lowContrasts } from "./support/contrast.mjs";
import { Hub, binary, root, run } from "./support/hub.mjs";

const bounded = { timeout: 60_000 };
const browser = await startChromium({ after });

for (const colorScheme of ["light", "dark"]) {
  test(`over a good way it finds nothing wrong, ${colorScheme}`, bounded, async (t) => {
    const hub = await Hub.start(t);
    const { page, findings, numbers } = await examine(t, hub.url, colorScheme);
    assert.deepEqual(findings, []);
    assert.equal(await page.locator("#verdict").innerText(), "It streams: the measurements show no fault.");
    assert.ok(!(await page.locator("#advice").isVisible()));
    assert.deepEqual(numbers.fetch.slice(1, 2), ["20 of 20"]);
    assert.equal(numbers.fetch[4], "3 of 3");
    assert.deepEqual([numbers.fetch[5], numbers.EventSource[4]], ["no", "not visible"]);
    assert.deepEqual(await page.evaluate(lowContrasts), []);
    await page.screenshot({ path: `${root}target/screenshots/doctor-good-${colorScheme}.png`, fullPage: true });
  });
}

for (const [fault, rule, measured] of [
  ["hold=8KiB", "buffered", /20 events in 1 piece, held for up to \d\.\d s/],
  ["gzip", "buffered-compressed", /held for up to \d\.\d s \(gzip\)/],
  ["one-behind", "one-behind", /the last event waited for \d\.\d s/],
  ["lifetime=1s", "broken-off", /\d+ of 20 events arrived, and after 1\.\d s it was cut/],
  ["content-type=text/html", "wrong-content-type", /Content-Type is text\/html/],
  ["cached", "cached", /it is named/],
]) {
  test(`a way with ${fault} is found to be ${rule}`, bounded, async (t) => {
    const hub = await Hub.start(t);
    const { page, findings } = await examine(t, await startChaos(t, hub, fault), "light");
    const found = findings.find((finding) => finding.rule === rule);
    assert.ok(found, JSON.stringify(findings));
    assert.match(found.measured, measured);
    assert.ok(await page.locator("#advice").isVisible());
    assert.deepEqual(await page.evaluate(lowContrasts), []);
    await page.screenshot({ path: `${root}target/screenshots/doctor-${fault.replace(/\W/g, "-")}.png`, fullPage: true });
  });
}

/** Opens the page below `url`, and waits for what it finds. */
async function examine(t, url, colorScheme) {
  const page = await browser.newPage({ colorScheme, viewport: { width: 1000, height: 700 } });
  t.after(() => page.close());
  await page.goto(`${url}/doctor`);
  await page.locator("#results").waitFor({ timeout: 30_000 });
  const findings = await page.locator("#findings li").evaluateAll((items) =>
    items.map((item) => ({ rule: item.querySelector("code").textContent, measured: item.innerText })),
  );
  const numbers = {};
  for (const way of ["EventSource", "fetch"]) numbers[way] = await page.locator(`#numbers-${way} td`).allTextContents();
  return { page, findings, numbers };
}

/** Starts `tidings chaos` before a hub, and resolves to its URL. */
async function startChaos(t, hub, fault) {
  const chaos = run(t, binary, ["chaos", "--upstream", hub.url, "--fault", fault]);
  const lines = [chaos.stdout, chaos.stderr].map((input) => once(createInterface({ input }), "line"));
  const [line] = await Promise.race(lines);
  const url = /^Chaos listens on (\S+)$/.exec(line)?.[1];
  assert.ok(url, line);
  return url;
}
