// The hub's HTTP interface, as the console uses it: docs/http.md.

import { credential, token } from "./token.js";

// The hub may be mounted under a prefix: all URLs are relative to this page.
export const base = new URL("./", document.baseURI);

/** The URL of a topic or a pattern, with the type of an update if given. */
export function topicUrl(topic, type) {
  const segments = topic.split("/");
  // Browsers remove empty and dotted segments, so a topic that has some is sent as one segment.
  const plain = !segments.some((segment) => ["", ".", ".."].includes(segment));
  const url = new URL("topics/" + (plain ? segments.map(encodeURIComponent).join("/") : encodeURIComponent(topic)), base);
  if (type) url.searchParams.set("type", type);
  return url;
}

/** The URL of several topics and patterns. */
export function topicsUrl(topics, parameters = {}) {
  const url = new URL("topics", base);
  for (const topic of topics) url.searchParams.append("topic", topic);
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
  return url;
}

/** Whether `pattern` matches `topic`. */
export const matches = (pattern, topic) =>
  pattern === topic || pattern === "*" || (pattern.endsWith("/*") && topic.startsWith(pattern.slice(0, -1)));

/** Publishes an update, and resolves to the hub's receipt. */
export async function publish({ topic, type, data }) {
  const response = await ask(topicUrl(topic, type), { method: "POST", body: data, headers: { "Content-Type": "text/plain" } });
  return response.json();
}

/**
 * Reads a page of the history after the update `after`, or from the oldest update: `{updates, next, more}`. If the hub
 * has to search through many updates, it answers with an empty page, and is asked again.
 */
export async function readHistory(topics, after, limit) {
  let from = after ?? "start";
  for (;;) {
    const response = await ask(topicsUrl(topics, { from, limit }), { headers: { Accept: "application/json" } });
    // All topics are closed, and their updates are no longer kept.
    if (response.status === 204) return { updates: [], next: after };
    const page = await response.json();
    if (page.updates.length || !page.more) return page;
    from = page.next;
  }
}

/** The number of subscriptions that would get an update, for each of `topics`. */
export async function readSubscribers(topics) {
  const url = new URL("subscribers", base);
  for (const topic of topics) url.searchParams.append("topic", topic);
  const response = await poll(url);
  return new Map((await response.json()).topics.map(({ topic, subscribers }) => [topic, subscribers]));
}

/** The subscriptions with the largest lag, and those that ended last. */
export async function readFurthestBehind() {
  return (await poll(new URL("subscribers", base))).json();
}

/** The hub's counters, as text. */
export async function readMetrics() {
  return (await poll(new URL("metrics", base))).text();
}

/**
 * The reason why a request was refused. A hub sends it in a problem document, and its gateway in an LLM provider's
 * format. A proxy in front of a hub may send no reason at all.
 */
export async function detail(response) {
  const problem = await response.json().catch(() => ({}));
  return problem.detail ?? problem.error?.message ?? `the response is ${response.status}, and does not come from a hub`;
}

/** The refusals of requests that are repeated, by URL, and the token that they are for. */
const refusals = { token: "", errors: new Map() };

/** Asks for what is asked for again and again. The hub counts refusals, so a refused token is not sent again. */
async function poll(url) {
  if (refusals.token !== token()) Object.assign(refusals, { token: token(), errors: new Map() });
  const refusal = refusals.errors.get(url.href);
  if (refusal) throw refusal;
  try {
    return await ask(url, { cache: "no-store" });
  } catch (error) {
    if (isRefusal(error)) refusals.errors.set(url.href, error);
    throw error;
  }
}

/** Whether another token may help. */
export const isRefusal = ({ status }) => status === 401 || status === 403;

async function ask(url, options) {
  const headers = { ...options.headers, ...credential() };
  const response = await fetch(url, { ...options, headers }).catch(() => {
    throw new Error("cannot reach the hub");
  });
  if (!response.ok) throw Object.assign(new Error(await detail(response)), { status: response.status });
  return response;
}
