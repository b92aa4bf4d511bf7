// The gateway's HTTP interface, as the chat page uses it: docs/gateway.md.

import { EventSource } from "../tidings.js";
import { base, detail } from "./hub.js";
import { credential } from "./token.js";

const completions = new URL("v1/chat/completions", base);

/** Whether the hub has an upstream. Without one, this path does not exist. */
export async function hasUpstream() {
  const response = await fetch(completions, { method: "OPTIONS" });
  return response.status !== 404;
}

/**
 * Asks a model for an answer. Resolves to the URL of the stream and the token that stops it, `{url, stopToken}`, and to
 * `hangUp`, which ends the request but not the answer. A request with the same `key` finds the answer that the first
 * request has begun. If the connection is lost, send the request again: the model is asked only once.
 */
export function ask(body, key) {
  return new Promise((resolve, reject) => {
    let stream;
    const request = new EventSource(completions, {
      method: "POST",
      headers: { "Content-Type": "application/json", "Idempotency-Key": key, ...credential() },
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
      // This must come before closing the source, which ends the response.
      reject(new Error(await detail(response)));
      request.close();
    };
  });
}

/** Whether this is the URL of one of the hub's streams, and not of anything other that the hub serves. */
export function isStream(url) {
  const streams = new URL("streams/", base);
  const at = URL.canParse(url) ? new URL(url) : undefined;
  return at?.origin === streams.origin && at.pathname.startsWith(streams.pathname) &&
    /^[\w-]{22}$/.test(at.pathname.slice(streams.pathname.length));
}

/** Follows a stream from its first event. Its text so far arrives as one event. */
export function watch(url) {
  const target = new URL(url);
  target.searchParams.set("view", "compact");
  return new EventSource(target);
}

/** Asks the gateway to stop the model. */
export async function stop({ url, stopToken }) {
  const target = new URL(url);
  target.searchParams.set("token", stopToken);
  const response = await fetch(target, { method: "DELETE" });
  if (!response.ok) throw new Error(await detail(response));
}

/** Reads the data of one event: `{text, finishReason, error}`, each one if present. */
export function read(data) {
  // Besides `[DONE]` an upstream may send data of its own format.
  if (!data.startsWith("{")) return {};
  const { choices, error } = JSON.parse(data);
  return { text: choices?.[0]?.delta?.content, finishReason: choices?.[0]?.finish_reason, error: error?.message };
}
