// Takes the picture of the chat page for the documentation: node tests/llm/take_screenshots.mjs

import { startChromium } from "../browser/support/chromium.mjs";
import { root } from "../browser/support/hub.mjs";
import { startGateway } from "./support/gateway.mjs";
import { Model, questions } from "./support/model.mjs";

const endings = [];
const t = { after: (ending) => endings.unshift(ending) };
const gateway = await startGateway(t, await Model.start(t));
const browser = await startChromium(t);
const page = await browser.newPage({ colorScheme: "dark", viewport: { width: 900, height: 620 }, reducedMotion: "reduce" });
await page.goto(`${gateway.url}/chat`);
const ask = (question) => page.getByLabel("Message").pressSequentially(`${question}\n`);
await ask(questions.short);
await page.locator("#state", { hasText: "ready" }).waitFor();
await ask(questions.long);
await page.waitForFunction(() => [...document.querySelectorAll(".answer")].at(-1).textContent.length > 330);
await page.screenshot({ path: `${root}docs/images/chat-dark.png` });
for (const ending of endings) await ending();
