// The official SDKs, unmodified, read the answers of a real language model through the gateway.

import assert from "node:assert/strict";
import { after, test } from "node:test";

import { root } from "../browser/support/hub.mjs";
import { replay, startGateway, streamUrl } from "./support/gateway.mjs";
import { Model, questions } from "./support/model.mjs";
import { load, output, python } from "./support/sdks.mjs";
import { startTap } from "./support/tap.mjs";

const bounded = { timeout: 120_000 };
const model = await Model.start({ after });
const here = `${root}tests/llm/`;
// Behind the first event: there is a comment at the start of each stream.
const comment = /^id: [^]*^:/m;
const ping = /^event: ping\ndata: \{"type": "ping"\}$/m;

sdk("openai-python, chat completions", ["stop", true], comment, (t, url) =>
  pythonRead(t, ["read_with_openai.py", "chat"], { OPENAI_BASE_URL: `${url}/v1`, OPENAI_API_KEY: "mine" }),
);

sdk("openai-python, responses", ["response.completed", true, true], comment, (t, url) =>
  pythonRead(t, ["read_with_openai.py", "responses"], { OPENAI_BASE_URL: `${url}/v1`, OPENAI_API_KEY: "mine" }),
);

sdk("anthropic-python, messages", ["end_turn", true, true], ping, (t, url) =>
  pythonRead(t, ["read_with_anthropic.py"], { ANTHROPIC_BASE_URL: url, ANTHROPIC_API_KEY: "mine" }),
);

sdk("openai-node, chat completions", ["stop", true], comment, async (t, url) => {
  const options = { stream: true, stream_options: { include_usage: true } };
  const { data, response } = await (await openai(url)).chat.completions
    .create({ model: "any", messages: [{ role: "user", content: questions.short }], ...options })
    .withResponse();
  let text = "";
  let finishReason, last;
  for await (const chunk of data) {
    text += chunk.choices[0]?.delta.content ?? "";
    finishReason = chunk.choices[0]?.finish_reason ?? finishReason;
    last = chunk;
  }
  return { text, end: [finishReason, last.usage.completion_tokens > 0], location: response.headers.get("Location") };
});

sdk("openai-node, responses", ["response.completed", true, true], comment, async (t, url) => {
  const { data, response } = await (await openai(url)).responses
    .create({ model: "any", input: questions.short, stream: true })
    .withResponse();
  let text = "";
  const events = [];
  for await (const event of data) {
    events.push(event);
    if (event.type === "response.output_text.delta") text += event.delta;
  }
  const isDense = events.every((event, index) => event.sequence_number === index);
  const last = events.at(-1);
  const end = [last.type, isDense, last.response.output[0].content[0].text === text];
  return { text, end, location: response.headers.get("Location") };
});

/** An SDK reads an answer with IDs and heartbeats, once, and its text is what the stream's URL replays. */
function sdk(name, end, heartbeat, read) {
  test(`${name}: reads an answer with IDs and heartbeats as if they were not there`, bounded, async (t) => {
    const gateway = await startGateway(t, model);
    const tap = await startTap(t, gateway);
    const { calls } = await model.counts();
    const answer = await read(t, tap.url);
    assert.deepEqual(answer.end, end);
    assert.equal(answer.text, await model.answer(questions.short));
    const kept = await replay(streamUrl(gateway, answer.location));
    assert.deepEqual([kept.text, kept.end], [answer.text, "complete"]);
    assert.equal(new Set(kept.ids).size, kept.ids.length);
    // One for the SDK, and one for what it is compared with.
    assert.equal((await model.counts()).calls - calls, 2);
    assert.match(tap.sent(), /^id: \S+$/m);
    assert.match(tap.sent(), heartbeat);
  });
}

async function pythonRead(t, [program, ...args], env) {
  const { stdout } = await output(t, python, [`${here}${program}`, ...args, questions.short], env);
  return JSON.parse(stdout);
}

async function openai(url) {
  const { default: OpenAI } = await load("openai");
  return new OpenAI({ baseURL: `${url}/v1`, apiKey: "mine", maxRetries: 0 });
}
