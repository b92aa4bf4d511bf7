// The browser's own EventSource on the URL of an answer.

import assert from "node:assert/strict";
import { after, test } from "node:test";

import { startChromium } from "../browser/support/chromium.mjs";
import { until } from "../browser/support/until.mjs";
import { ask, replay, startGateway } from "./support/gateway.mjs";
import { Model, questions } from "./support/model.mjs";

const bounded = { timeout: 120_000 };
const model = await Model.start({ after });
const browser = await startChromium({ after });

test("it makes two requests for an answer that comes, and then rests", bounded, async (t) => {
  const gateway = await startGateway(t, model);
  const { response, stream } = await ask(gateway, questions.short);
  await response.body.cancel();
  await reads(t, gateway, stream);
});

test("it makes two requests for an answer that is over, and then rests", bounded, async (t) => {
  const gateway = await startGateway(t, model);
  const { response, stream } = await ask(gateway, questions.short);
  await response.text();
  await reads(t, gateway, stream);
});

/** An EventSource that nobody closes has the whole answer once, and the second request, which is answered 204, is the last. */
async function reads(t, gateway, stream) {
  const page = await browser.newPage();
  t.after(() => page.close());
  const statuses = [];
  page.on("response", (response) => response.url() === stream && statuses.push(response.status()));
  await page.goto(`${gateway.url}/healthz`);
  await page.evaluate((stream) => {
    globalThis.heard = [];
    globalThis.source = new EventSource(stream);
    for (const type of ["message", "gap", "close"]) source.addEventListener(type, ({ type, data }) => heard.push([type, data]));
  }, stream);
  await until(() => page.evaluate(() => source.readyState === EventSource.CLOSED), 60);
  assert.deepEqual(statuses, [200, 204]);
  const heard = await page.evaluate(() => globalThis.heard);
  assert.deepEqual(heard.pop(), ["close", "complete"]);
  assert.deepEqual(heard.pop(), ["message", "[DONE]"]);
  const text = heard.map(([, data]) => JSON.parse(data).choices[0].delta.content ?? "").join("");
  assert.equal(text, (await replay(stream)).text);
  assert.equal(text, await model.answer(questions.short));
}
