// A gateway before the model, and what its streams have.

import assert from "node:assert/strict";

import { EventSource } from "../../../web/tidings.js";
import { Hub } from "../../browser/support/hub.mjs";
import { KEY_VARIABLE } from "./model.mjs";

/** Starts a hub whose upstream is `model`. It is quick with heartbeats and with coming back. */
export function startGateway(t, model, flags = []) {
  const quick = ["--heartbeat", "20ms", "--retry", "50ms"];
  return Hub.start(t, ["--upstream", model.url, "--upstream-key-env", KEY_VARIABLE, ...quick, ...flags]);
}

/** Asks for a streamed answer over plain HTTP, and resolves to the response's head and to the stream's URL. */
export async function ask(gateway, question, headers = {}) {
  const response = await fetch(`${gateway.url}/v1/chat/completions`, {
    method: "POST",
    headers: { "Content-Type": "application/json", ...headers },
    body: JSON.stringify({ model: "any", stream: true, messages: [{ role: "user", content: question }] }),
  });
  assert.equal(response.status, 200, await (response.ok ? "" : response.text()));
  return { response, stream: streamUrl(gateway, response.headers.get("Location")) };
}

export const streamUrl = (gateway, location) => new URL(location, gateway.url).href;

/** All that a stream has, from its start to its end: `{ids, text, end}`. */
export async function replay(url) {
  const ids = [];
  let text = "";
  for await (const { type, data, lastEventId } of new EventSource(url)) {
    ids.push(lastEventId);
    if (type === "close") return { ids, text, end: data };
    text += textOf(data);
  }
  throw new Error(`${url} has no end`);
}

/** What an event of any of the interfaces adds to the answer. */
function textOf(data) {
  if (data === "[DONE]") return "";
  const { choices, delta } = JSON.parse(data);
  if (choices) return choices[0]?.delta.content ?? "";
  return (typeof delta === "string" ? delta : delta?.text) ?? "";
}
