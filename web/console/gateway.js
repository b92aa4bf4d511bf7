// The gateway's HTTP interface, as the chat page uses it: docs/gateway.md.

import { EventSource } from "../tidings.js";
import { base, detail } from "./hub.js";

const completions = new URL("v1/chat/completions", base);

/** Whether the hub has an upstream. Without one it knows no such path. */
export async function hasUpstream() {
  const response = await fetch(completions, { method: "OPTIONS" });
  return response.status !== 404;
}

/**
 * Asks a model for an answer, and resolves to where its stream is and what stops it, `{url, stopToken}`, and to `hangUp`,
 * which ends the request, and not the answer. A request with the same `key` is the same: it finds the answer that the
 * first has begun, so that one whose connection is lost is sent again, and the model is asked once.
 */
export function ask(body, key) {
  return new Promise((resolve, reject) => {
    let stream;
    const request = new EventSource(completions, {
      method: "POST",
      headers: { "Content-Type": "application/json", "Idempotency-Key": key },
      body: JSON.stringify({ ...body, stream: true }),
      fetch: async (url, init) => {
        const response = await fetch(url, init);
        const { headers } = response;
        stream = { url: new URL(headers.get("Location") ?? "", url).href, stopToken: headers.get("Tidings-Stop-Token") };
        return response;
      },
    });
    request.onopen = () => resolve({ stream, hangUp: () => request.close() });
    request.onerror = async ({ response }) => {
      if (!response) return;
      // Before it is closed, which ends the response.
      reject(new Error(await detail(response)));
      request.close();
    };
  });
}

/** Whether this is the address of one of the hub's streams, and of nothing else that it serves. */
export function isStream(url) {
  const streams = new URL("streams/", base);
  const at = URL.canParse(url) ? new URL(url) : undefined;
  return at?.origin === streams.origin && at.pathname.startsWith(streams.pathname) &&
    /^[\w-]{22}$/.test(at.pathname.slice(streams.pathname.length));
}

/** The source of a stream's events, from its first. What was said before somebody came is one event. */
export function watch(url) {
  const target = new URL(url);
  target.searchParams.set("view", "compact");
  return new EventSource(target);
}

/** Has the gateway hang up on the model. */
export async function stop({ url, stopToken }) {
  const target = new URL(url);
  target.searchParams.set("token", stopToken);
  const response = await fetch(target, { method: "DELETE" });
  if (!response.ok) throw new Error(await detail(response));
}

/** What the data of one event adds to the answer: `{text, finishReason, error}`, each if it says so. */
export function read(data) {
  // Beside `[DONE]` an upstream may send what only it understands.
  if (!data.startsWith("{")) return {};
  const { choices, error } = JSON.parse(data);
  return { text: choices?.[0]?.delta?.content, finishReason: choices?.[0]?.finish_reason, error: error?.message };
}
