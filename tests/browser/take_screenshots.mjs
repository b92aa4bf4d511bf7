// Takes the pictures of the console for the documentation: node tests/browser/take_screenshots.mjs

import { mkdir } from "node:fs/promises";
import { setTimeout } from "node:timers/promises";

import { startChromium } from "./support/chromium.mjs";
import { Hub, root } from "./support/hub.mjs";

const SECONDS = 75;
const folder = `${root}docs/images/`;

const endings = [];
const t = { after: (ending) => endings.unshift(ending) };
await mkdir(folder, { recursive: true });
const hub = await Hub.start(t);
const browser = await startChromium(t);
const open = async (colorScheme, width, height) => {
  const page = await browser.newPage({ colorScheme, viewport: { width, height }, reducedMotion: "reduce" });
  await page.goto(hub.url);
  await page.locator("#state[data-state=open]").waitFor();
  return page;
};
const pages = { light: await open("light", 1200, 780), dark: await open("dark", 1200, 780), narrow: await open("light", 390, 780) };

for (let second = 0; second < SECONDS; second++) {
  const rate = 12 + 9 * Math.sin(second / 6) + 4 * Math.sin(second / 1.7);
  for (let number = 0; number < rate; number++) {
    await hub.publish("builds/42", `test store::tests::case_${second}_${number} ... ok`);
    if (number % 4 === 0) await hub.publish("chat/lobby", JSON.stringify({ from: "ann", text: `line ${number}` }), "?type=said");
    await setTimeout(700 / rate);
  }
  if (second % 5 === 4) await hub.publish("deploys/production", `version 1.4.${second} is live`, "?type=done");
  const weather = { place: "Oslo", celsius: 18 + (second % 5), wind: { from: "SW", speed: 4 } };
  if (second % 2 === 0) await hub.publish("weather/oslo", JSON.stringify(weather), "?type=weather");
}
await pages.light.getByRole("button", { name: "Publish", exact: true }).click();
await setTimeout(300);
for (const [name, page] of Object.entries(pages)) await page.screenshot({ path: `${folder}console-${name}.png` });
for (const ending of endings) await ending();
