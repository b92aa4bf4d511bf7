// The hub's HTTP interface, as the console uses it: docs/http.md.

// The hub may be mounted under a prefix: everything is found from where this page is.
export const base = new URL("./", document.baseURI);

/** The address of a topic or a pattern; of a type to publish with, if one is given. */
export function topicUrl(topic, type) {
  const segments = topic.split("/");
  // Empty and dotted segments would be normalised away, so a topic that has some goes as one segment.
  const plain = !segments.some((segment) => ["", ".", ".."].includes(segment));
  const url = new URL("topics/" + (plain ? segments.map(encodeURIComponent).join("/") : encodeURIComponent(topic)), base);
  if (type) url.searchParams.set("type", type);
  return url;
}

/** The address of several topics and patterns. */
export function topicsUrl(topics, parameters = {}) {
  const url = new URL("topics", base);
  for (const topic of topics) url.searchParams.append("topic", topic);
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
  return url;
}

/** Whether what is published to `topic` is for `pattern`. */
export const matches = (pattern, topic) =>
  pattern === topic || pattern === "*" || (pattern.endsWith("/*") && topic.startsWith(pattern.slice(0, -1)));

/** Publishes, and resolves to the hub's receipt. */
export async function publish({ topic, type, data }) {
  const response = await ask(topicUrl(topic, type), { method: "POST", body: data, headers: { "Content-Type": "text/plain" } });
  return response.json();
}

/**
 * A page of the history after the update `after`, or from the oldest that is kept: `{updates, next, more}`. Where much has to be
 * looked through before something is found, the hub is asked again.
 */
export async function readHistory(topics, after, limit) {
  let from = after ?? "start";
  for (;;) {
    const response = await ask(topicsUrl(topics, { from, limit }), { headers: { Accept: "application/json" } });
    // All topics are closed, and what was published to them is no longer kept.
    if (response.status === 204) return { updates: [], next: after };
    const page = await response.json();
    if (page.updates.length || !page.more) return page;
    from = page.next;
  }
}

/** How many subscriptions an update of each of `topics` is for, by topic. */
export async function readSubscribers(topics) {
  const url = new URL("subscribers", base);
  for (const topic of topics) url.searchParams.append("topic", topic);
  const response = await ask(url, { cache: "no-store" });
  return new Map((await response.json()).topics.map(({ topic, subscribers }) => [topic, subscribers]));
}

/** The subscriptions that are furthest behind, and those that ended last. */
export async function readFurthestBehind() {
  return (await ask(new URL("subscribers", base), { cache: "no-store" })).json();
}

/** The hub's counters, as text. */
export async function readMetrics() {
  return (await ask(new URL("metrics", base), { cache: "no-store" })).text();
}

/**
 * Why a request was refused: a hub says it in a problem document, and its gateway as an LLM provider would. What stands
 * before a hub may say it in no way.
 */
export async function detail(response) {
  const problem = await response.json().catch(() => ({}));
  return problem.detail ?? problem.error?.message ?? `the answer is ${response.status}, and not a hub's`;
}

async function ask(url, options) {
  const response = await fetch(url, options).catch(() => {
    throw new Error("the hub can't be reached");
  });
  if (!response.ok) throw Object.assign(new Error(await detail(response)), { status: response.status });
  return response;
}
