// One connection for all tabs of an origin that follow the same URL, or topics of one hub: see docs/browser.md.
//
// Sharing happens below an EventSource, where it requests its stream: it gets a response like any other. The tab that
// holds a lock is the leader. The leader has the connection, and sends what arrives to the others over a
// BroadcastChannel. Each tab keeps its own position, and asks the leader or the server for the events after it. So
// nothing depends on a leader's memory.
//
// Tabs with other `topics` share too. The leader requests the topics of all, names the topics of each event, and each
// tab picks its own. When a tab has topics that the leader lacks, the leader reconnects with these as well, from its
// own position. From there its connection has all events for the newcomer, and the newcomer joins once it has all
// events before.
// has all there is before it.

import { Decoder, EventSource } from "./tidings.js";

/** @import { Attempt, Block, Options, Prepared } from "./interface.js" */

/** How often a tab asks a silent leader. */
const ASK_MS = 200;

/** After how many asks without an answer a leader counts as frozen. Hidden tabs are slow. */
const MISSED = 2;
const MISSED_HIDDEN = 10;

/** How often a leader may not know a position before a tab connects by itself. */
const UNKNOWN = 10;

/** How often a tab with its own connection asks while no leader gets one. Browsers have few. */
const BLOCKED = 5;

/** How long the leader waits for more topics before it reconnects with the new ones. */
const WIDEN_MS = 20;

/** How many topics a hub accepts in one request. */
const MAX_TOPICS = 256;

/** How often a leader with too many topics may forget those that no tab follows. */
const NARROW_MS = 60_000;

/** How many closed topics a tab remembers, each of the length that a hub allows. */
const MAX_CLOSED = 4096;
const MAX_TOPIC_LENGTH = 1024;

/** How many blocks, and UTF-16 units in them, a tab keeps for tabs that lag behind. */
const RECENT_BLOCKS = 1000;
const RECENT_LENGTH = 1 << 20;

/** How much may wait for a consumer before its tab stops listening to the leader. */
const LAG_BYTES = 1 << 20;

/** An EventSource that shares one connection with other tabs. */
export class SharedEventSource extends EventSource {
  /**
   * @param {string | URL | ((attempt: Attempt) => string | URL | Promise<string | URL>)} url
   * @param {Options & { group?: string }} [options] only tabs with the same `group` share, for pages with several users
   */
  constructor(url, options = {}) {
    super(url, { ...options, fetch: share(options.fetch, options.group) });
  }
}

/**
 * A `fetch` whose event streams are shared. Without Web Locks, which only secure contexts have, nothing is shared.
 * @param {typeof globalThis.fetch} [fetch]
 * @param {string} [group]
 * @returns {typeof globalThis.fetch}
 */
export function share(fetch = globalThis.fetch, group = "") {
  return async (url, init = {}) => {
    const isShared = (init.method ?? "GET") === "GET" && globalThis.navigator?.locks && globalThis.BroadcastChannel;
    return isShared ? new Member(`${url}`, init, fetch, group).open() : fetch(url, init);
  };
}

/**
 * @typedef {object} Told a message on the channel
 * @property {string} [ask] the member that asks for the blocks after its `place`
 * @property {string} [term] the leadership that speaks, or that the message asks for
 * @property {string} [to] the only member that is addressed
 * @property {string} [place]
 * @property {string[]} [topics] topics that the sender follows
 * @property {boolean} [ahead] whether the leader has not reached the newcomer's position yet
 * @property {string[]} [refused] topics that the hub refuses
 * @property {"joins" | "waits" | "unknown" | "opened" | "here" | "left" | "ended" | "broke"} [says]
 * @property {Block[]} [blocks]
 * @property {number} [count]
 * @property {number} [retry]
 * @property {string} [hub] what the stream's hub says of the access; absent if the stream is not a hub's
 */

/** One request for a shared stream. */
class Member {
  #id = crypto.randomUUID();
  #url;
  /** @type {RequestInit & { prepare?: () => Promise<Prepared> }} */
  #init;
  #fetch;
  /** The first request. Those that follow get credentials of their own. @type {Prepared | undefined} */
  #request;
  #name;
  #channel;
  /** The topics of this tab, if a leader may follow them for it. @type {string[] | undefined} */
  #topics;
  /** The topics of the recent blocks, which this tab requests when it leads. @type {string[]} */
  #union;
  /** Of the topics. @type {Set<string>} */
  #closed = new Set();
  /** @type {Set<string>} */
  #refused = new Set();
  /** Topics that the leader is asked to add. @type {Set<string>} */
  #wanted = new Set();
  #narrowedAt = -Infinity;
  /** @type {ReadableStreamDefaultController<Uint8Array>} */
  // @ts-expect-error: `start` of the stream assigns it within the constructor.
  #consumer;
  #body;
  #ended = false;

  /** The ID of the last event that this tab got. */
  #place;
  /** The latest blocks of this tab, and the position before them. @type {Block[]} */
  #recent = [];
  #before;
  #recentLength = 0;
  /** Whether the leader has not reached this tab's position yet. */
  #isAhead = false;
  #isSeeking = false;
  /** What the stream's hub says of the access. @type {string | undefined} */
  #hub;
  /** @type {number | undefined} */
  #retry;

  /** The leadership that this tab follows or has. It ignores any other. @type {string | undefined} */
  #term;
  #isLeader = false;
  #isOpen = false;
  /** Releases the lock. */
  #release = () => {};
  /** The connection of this tab, if it has one. */
  #connection = new AbortController();
  /** How many blocks the leader has sent. A tab that was stopped may have missed some. */
  #count = 0;
  #missed = 0;
  /** When another tab asked last. */
  #askedAt = -Infinity;
  #answered = (/** @type {Told} */ _) => {};
  #pulled = () => {};
  #ticking;

  /** @param {string} url @param {RequestInit} init @param {typeof globalThis.fetch} fetch @param {string} group */
  constructor(url, init, fetch, group) {
    this.#url = url;
    this.#init = init;
    this.#fetch = fetch;
    this.#request = { url, headers: new Headers(init.headers) };
    const { rest, topics } = split(url);
    this.#topics = topics;
    this.#union = topics ?? [];
    this.#name = ["tidings", init.credentials, group, withoutCredential(rest)].join(" ");
    this.#channel = new BroadcastChannel(this.#name);
    this.#channel.onmessage = ({ data }) => this.#hear(data);
    const bytes = Uint8Array.from(new Headers(init.headers).get("Last-Event-ID") ?? "", (char) => char.charCodeAt(0));
    this.#place = this.#before = new TextDecoder().decode(bytes);
    this.#body = new ReadableStream(
      {
        start: (consumer) => void (this.#consumer = consumer),
        pull: () => this.#pulled(),
        cancel: () => this.#end(),
      },
      new ByteLengthQueuingStrategy({ highWaterMark: LAG_BYTES }),
    );
    this.#ticking = setInterval(() => this.#tick(), ASK_MS);
    init.signal?.addEventListener("abort", () => {
      this.#end();
      this.#attempt(() => this.#consumer.error(init.signal?.reason));
    });
  }

  /** A response that is a stream, from the leader or the server, or a refusal from the server. */
  async open() {
    try {
      const refusal = await this.#seek();
      this.#init.signal?.throwIfAborted();
      const headers = new Headers({ "Content-Type": "text/event-stream" });
      // The leader renews the credential.
      if (this.#hub !== undefined) headers.set("Tidings-Hub", "shared");
      if (this.#hub) headers.set("Tidings-Access", this.#hub);
      if (!refusal) return new Response(this.#body, { headers });
      this.#end();
      return refusal;
    } catch (error) {
      this.#end();
      throw error;
    }
  }

  /**
   * Finds out which tab has the connection. Resolves once there is one, or to the server's refusal.
   * @returns {Promise<Response | undefined>}
   */
  async #seek() {
    if (this.#isSeeking) return undefined;
    this.#isSeeking = true;
    const leads = await this.#decide();
    this.#isSeeking = false;
    return leads === undefined ? undefined : this.#connect(leads);
  }

  /** Decides whether to lead or to connect for itself, unless it follows a leader. */
  async #decide() {
    // A tab that starts in the history cannot start at the leader's position.
    const begins = !this.#place && /[?&]from=(?!end)/.test(this.#url);
    for (let missed = 0, unknown = begins ? UNKNOWN : 0; !this.#ended && !this.#term; ) {
      if (await this.#lock({ ifAvailable: true })) return true;
      // Blocks sent to the leader may begin long before now.
      if (this.#topics && !this.#place && !begins && !(await this.#reachNewest())) unknown = UNKNOWN;
      if ((unknown >= UNKNOWN || this.#isRefused) && !this.#term) return false;
      const { says } = await this.#ask();
      if (says) missed = 0;
      // The leader may yet reach this position, if it has just begun where another tab was.
      if (says === "unknown" && ++unknown === 1) await this.#reachNewest();
      if (says === "waits" || says === "unknown") await sleep(ASK_MS / 5);
      if (!says && ++missed >= (globalThis.document?.hidden ? MISSED_HIDDEN : MISSED)) {
        if (await this.#steal()) return true;
      }
    }
    return undefined;
  }

  /** Asks the leader for the blocks after this tab's position. @returns {Promise<Told>} */
  async #ask() {
    // A late answer is as good.
    if (this.#term) return { says: "joins" };
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ASK_MS, {});
      this.#answered = (told) => resolve((clearTimeout(timer), told));
      this.#tell({ ask: this.#id, place: this.#place, topics: this.#topics });
    });
  }

  /**
   * Advances to the newest position of the hub's log, if no event for this tab comes before it. While its topics are
   * silent nothing else would bring it to the leader's position.
   */
  async #reachNewest() {
    if (!this.#topics) return false;
    const place = this.#place;
    const fetch = this.#fetch;
    try {
      const { url: at, headers } = await this.#prepare();
      const url = new URL(at);
      url.searchParams.set("from", place || "end");
      url.searchParams.set("limit", "1");
      headers.delete("Last-Event-ID");
      headers.set("Accept", "application/json");
      const { updates, next, more, gap, closed } = await json(await fetch(url.href, { ...this.#init, headers }));
      if (updates.length || more || gap || closed || this.#place !== place || this.#term) return false;
      const data = place || url.searchParams.get("start") === "none" ? undefined : JSON.stringify({ id: next });
      this.#take([{ type: "start", data, id: next, topics: [] }]);
      this.#forget();
      return true;
    } catch {
      // Its own connection will report the reason.
      return false;
    }
  }

  /** A request with a credential that no other request has used. @returns {Promise<Prepared>} */
  async #prepare() {
    const request = this.#request ?? (await this.#init.prepare?.()) ?? { url: this.#url, headers: new Headers(this.#init.headers) };
    this.#request = undefined;
    return request;
  }

  /** Takes the lock, and holds it until it is released or stolen. @param {LockOptions} how */
  #lock(how) {
    return new Promise((resolve) => {
      const held = navigator.locks.request(this.#name, how, (lock) => {
        resolve(!!lock && !this.#ended);
        return lock && !this.#ended && new Promise((release) => (this.#release = () => release(undefined)));
      });
      held.catch(() => {
        resolve(false);
        // A connection attempt is aborted, and seeks again.
        if (this.#isLeader) this.#leave(this.#isOpen);
      });
    });
  }

  /** Takes the lock from a tab that does not answer. One tab at a time, so that none is robbed again. */
  #steal() {
    return navigator.locks.request(`${this.#name} steal`, { ifAvailable: true }, async (lock) => {
      return lock && !(await this.#ask()).says && this.#lock({ steal: true });
    });
  }

  /** Opens a connection of this tab, as the leader or for itself. @param {boolean} leads */
  async #connect(leads) {
    const connection = (this.#connection = new AbortController());
    this.#isLeader = leads;
    this.#isAhead = false;
    this.#term = leads ? crypto.randomUUID() : undefined;
    if (!leads) this.#cover(this.#topics);
    // As a method it would be an illegal invocation.
    const fetch = this.#fetch;
    let response;
    try {
      const { url, headers } = await this.#prepare();
      connection.signal.throwIfAborted();
      const bytes = Array.from(new TextEncoder().encode(this.#place), (byte) => String.fromCharCode(byte));
      if (this.#place) headers.set("Last-Event-ID", bytes.join(""));
      response = await fetch(join(url, this.#union), { ...this.#init, headers, signal: connection.signal });
      connection.signal.throwIfAborted();
    } catch (error) {
      if (connection.signal.aborted && !this.#ended) return this.#seek();
      this.#leave();
      throw error;
    }
    const { status, headers: answered, body } = response;
    if (status !== 200 || !body || !Decoder.reads(answered)) {
      // The asker may read the reason.
      this.#connection = new AbortController();
      this.#leave();
      return response;
    }
    this.#isOpen = true;
    this.#hub = answered.has("Tidings-Hub") ? (answered.get("Tidings-Access") ?? "") : undefined;
    if (leads) this.#tell({ term: this.#term, says: "opened" });
    else this.#rejoin(connection.signal);
    this.#read(body.getReader(), connection.signal);
  }

  /** As the leader, reconnects with the topics of others too, and another credential. They wait, and join again. */
  async #widen() {
    const added = [...this.#wanted];
    this.#wanted.clear();
    const before = this.#union;
    if (!this.#isLeader || !this.#isOpen) return;
    this.#tell({ term: this.#term, says: "left" });
    this.#connection.abort();
    this.#isOpen = false;
    this.#cover([...before, ...added]);
    try {
      const refusal = await this.#connect(true);
      if (!refusal) return;
      refusal.body?.cancel().catch(() => {});
    } catch (error) {
      return this.#finish("broke", error);
    }
    this.#tell({ refused: added });
    for (const topic of added) this.#refused.add(topic);
    this.#cover(before);
    this.#goOn();
  }

  /** @param {ReadableStreamDefaultReader<Uint8Array>} reader @param {AbortSignal} signal */
  async #read(reader, signal) {
    const decoder = new Decoder();
    try {
      for (;;) {
        const { done, value } = await reader.read();
        if (signal.aborted) return;
        if (done) break;
        const blocks = decoder.decode(value);
        const { retry } = decoder;
        if (this.#isLeader) this.#tell({ term: this.#term, blocks, retry, count: ++this.#count });
        this.#take(blocks, retry);
        while (this.#isLagging && !signal.aborted) {
          // The others do not wait for this tab.
          if (this.#isLeader && Date.now() - this.#askedAt < 8 * ASK_MS) return this.#leave(true);
          await this.#room();
        }
      }
    } catch (error) {
      if (!signal.aborted) this.#finish("broke", error);
      return;
    }
    this.#finish("ended");
  }

  /**
   * Tells all tabs that the connection is gone. Each returns as its EventSource does.
   * @param {"ended" | "broke"} says
   * @param {unknown} [error]
   */
  #finish(says, error) {
    if (this.#isLeader) this.#tell({ term: this.#term, says });
    this.#attempt(() => (says === "ended" ? this.#consumer.close() : this.#consumer.error(error)));
    this.#end();
  }

  /** Releases the connection and the lock. @param {boolean} [goesOn] whether it looks for another leader */
  #leave(goesOn = false) {
    if (this.#isLeader) this.#tell({ term: this.#term, says: "left" });
    this.#isLeader = this.#isOpen = false;
    this.#term = undefined;
    this.#connection.abort();
    this.#release();
    if (goesOn) this.#goOn();
  }

  /** Looks for the stream again, after the last event of this tab. */
  async #goOn() {
    this.#term = undefined;
    while (this.#isLagging && !this.#ended) await this.#room();
    try {
      const refusal = await this.#seek();
      if (!refusal) return;
      refusal.body?.cancel().catch(() => {});
      throw new TypeError(`the answer is ${refusal.status}`);
    } catch (error) {
      // The EventSource asks again, with fresh headers, and gets the refusal itself.
      this.#finish("broke", error);
    }
  }

  /** @param {Told} told */
  #hear(told) {
    const { ask, term, to, says, blocks, refused = [] } = told;
    if (ask) return this.#isLeader && this.#answer(told);
    for (const topic of refused) this.#refused.add(topic);
    if (to) {
      // A late answer is for a position that this tab has left.
      if (to !== this.#id || (says === "joins" && !this.#join(told))) return;
      return this.#answered(told);
    }
    if (!this.#term) return says === "opened" && this.#answered({ says: "waits" });
    // From a leader that was deposed, or that is not followed yet.
    if (term !== this.#term || this.#isLeader) return;
    this.#missed = 0;
    if (says ? says === "here" && told.count !== this.#count : told.count !== ++this.#count) this.#goOn();
    else if (blocks) this.#take(blocks, told.retry);
    else if (says === "here") this.#enqueue(":\n");
    else if (says === "left") this.#goOn();
    else if (says === "ended" || says === "broke") this.#finish(says, new TypeError("the shared connection broke"));
    if (this.#term && this.#isLagging) this.#goOn();
  }

  /** As the leader. @param {Told} told */
  #answer({ ask, place, term, topics = [] }) {
    this.#askedAt = Date.now();
    this.#pulled();
    if (term) return term === this.#term && this.#tell({ term, says: "here", count: this.#count });
    const { blocks, ahead } = place ? this.#after(place) : { blocks: [] };
    /** @type {Told["says"]} */
    let says = !this.#isOpen ? "waits" : blocks ? "joins" : "unknown";
    const missing = topics.filter((topic) => !this.#union.some((pattern) => matches(pattern, topic)));
    if (topics.length && topics.every((topic) => this.#closed.has(topic))) says = "unknown";
    else if (this.#isOpen && missing.length) says = this.#want(missing) ? "waits" : "unknown";
    this.#tell({
      to: ask,
      term: this.#term,
      says,
      blocks,
      ahead,
      place: place || this.#place,
      topics: this.#topics && this.#union,
      retry: this.#retry,
      count: this.#count,
      hub: this.#hub,
    });
  }

  /** Whether `topics` will be followed. @param {string[]} topics */
  #want(topics) {
    // Without a position, events would be lost during the reconnection.
    if (!this.#place) return true;
    if (topics.some((topic) => this.#refused.has(topic))) return false;
    if (new Set([...this.#union, ...this.#wanted, ...topics]).size > MAX_TOPICS) {
      if (Date.now() - this.#narrowedAt < NARROW_MS) return false;
      this.#narrowedAt = Date.now();
      // A tab that follows more asks for it again.
      this.#cover(this.#topics);
    }
    if (!this.#wanted.size) setTimeout(() => this.#widen(), WIDEN_MS);
    for (const topic of topics) this.#wanted.add(topic);
    return true;
  }

  get #isRefused() {
    return this.#topics?.some((topic) => this.#refused.has(topic));
  }

  /** Keeps blocks of these topics from here on. @param {string[]} [topics] */
  #cover(topics = []) {
    if (topics.length === this.#union.length && topics.every((topic) => this.#union.includes(topic))) return;
    this.#union = topics;
    this.#forget();
  }

  #forget() {
    this.#recent = [];
    this.#recentLength = 0;
    this.#before = this.#place;
  }

  /** Follows a leader that continues from this tab's position. @param {Told} told */
  #join({ term, place, blocks = [], retry, count = 0, topics, ahead = false, hub }) {
    if (this.#ended || this.#term || (this.#place && this.#place !== place)) return false;
    this.#connection.abort();
    this.#isOpen = false;
    this.#isAhead = ahead;
    this.#hub = hub;
    // By the time this tab leads, its credential may be of no use.
    if (this.#init.prepare) this.#request = undefined;
    this.#cover(topics);
    this.#term = term;
    this.#count = count;
    this.#missed = 0;
    this.#enqueue(":\n");
    // A tab without a position takes the leader's, to return to it.
    if (!this.#place && place) blocks = [{ type: "", id: place, topics: [] }, ...blocks];
    this.#take(blocks, retry);
    return true;
  }

  #tick() {
    if (this.#isLeader || !this.#term) return;
    this.#missed++;
    if (this.#missed > 1) this.#tell({ ask: this.#id, term: this.#term });
    if (this.#missed > MISSED) this.#goOn();
  }

  /** Uses its own connection until a leader appears. @param {AbortSignal} signal */
  async #rejoin(signal) {
    for (let blocked = 0; blocked < BLOCKED; ) {
      await sleep(ASK_MS);
      if (signal.aborted) return;
      const place = this.#place;
      if (!place || this.#isRefused) continue;
      const { says } = await this.#ask();
      blocked = says && says !== "waits" ? 0 : blocked + 1;
      // Once for each position.
      if (says === "unknown" && this.#place === place && place !== this.#before) {
        const reached = await Promise.race([this.#reachNewest(), sleep(BLOCKED * ASK_MS)]);
        if (reached === undefined) blocked = BLOCKED;
      }
    }
    if (!signal.aborted) this.#leave(true);
  }

  /**
   * The blocks after `place`, if all of them are kept.
   * @param {string} place
   * @returns {{ blocks?: Block[], ahead?: boolean }}
   */
  #after(place) {
    const at = this.#recent.findLastIndex(({ id }) => id === place);
    if (at >= 0 || place === this.#before) return { blocks: this.#recent.slice(at + 1) };
    // A position between two events, where another tab began, or a future one.
    const start = this.#before || this.#recent[0]?.id;
    const isOrdered = this.#topics && start && this.#recent.every(({ id }) => !id || compare(id, place) !== undefined);
    if (!isOrdered || !(Number(compare(start, place)) <= 0)) return {};
    return { blocks: this.#recent.filter(({ id }) => id && Number(compare(id, place)) > 0), ahead: true };
  }

  /** @param {Block[]} blocks @param {number} [retry] */
  #take(blocks, retry) {
    let text = "";
    for (const block of blocks) {
      if (this.#isAhead) {
        const order = block.id && compare(block.id, this.#place);
        if (block.id && order === undefined) return this.#goOn();
        if (!order || order <= 0) continue;
        this.#isAhead = false;
      }
      text += encode(this.#isFor(block) ? block : { ...block, data: undefined });
      this.#place = block.id ?? this.#place;
      this.#recent.push(block);
      this.#recentLength += length(block);
      while (this.#recent.length > RECENT_BLOCKS || this.#recentLength > RECENT_LENGTH) {
        const oldest = /** @type {Block} */ (this.#recent.shift());
        this.#before = oldest.id ?? this.#before;
        this.#recentLength -= length(oldest);
      }
      if (block.type === "close" && this.#hub !== undefined) this.#close(block.topics);
      if (block.type === "access" && this.#hub !== undefined) this.#renew(block.data);
      // Others may go on. The hub would end the response here.
      if (this.#topics?.every((topic) => this.#closed.has(topic))) {
        this.#enqueue(text);
        this.#attempt(() => this.#consumer.close());
        return this.#end();
      }
    }
    text ||= ":\n";
    if (retry !== this.#retry && retry !== undefined) text = `retry: ${Math.min((this.#retry = retry), 1e15)}\n${text}`;
    this.#enqueue(text);
  }

  /** As the leader, renews a credential that ends soon. @param {string} [data] */
  #renew(data = "") {
    const renews = this.#isLeader && this.#place && this.#init.prepare && /"reason": *"expires"/.test(data);
    if (renews) setTimeout(() => this.#widen());
  }

  /** @param {string[]} topics */
  #close(topics) {
    for (const topic of topics) if (topic.length <= MAX_TOPIC_LENGTH) this.#closed.add(topic);
    for (const topic of this.#closed) {
      if (this.#closed.size <= MAX_CLOSED) break;
      this.#closed.delete(topic);
    }
  }

  /** The hub's own events are for all tabs. @param {Block} block */
  #isFor({ topics }) {
    return !topics.length || !this.#topics || topics.some((topic) => this.#topics?.some((own) => matches(own, topic)));
  }

  /** @param {string} text */
  #enqueue(text) {
    this.#attempt(() => this.#consumer.enqueue(new TextEncoder().encode(text)));
  }

  get #isLagging() {
    return (this.#consumer.desiredSize ?? 1) <= 0;
  }

  #room() {
    return new Promise((resolve) => (this.#pulled = () => resolve(undefined)));
  }

  /** @param {Told} told */
  #tell(told) {
    this.#attempt(() => this.#channel.postMessage(told));
  }

  /** Runs an action that fails once the stream has ended. @param {() => void} action */
  #attempt(action) {
    try {
      action();
    } catch {
      // Nothing listens any more.
    }
  }

  #end() {
    this.#ended = true;
    clearInterval(this.#ticking);
    this.#leave();
    this.#channel.close();
    this.#pulled();
    this.#answered({});
  }
}

/** The approximate number of UTF-16 units of a block. @param {Block} block */
function length({ type, data = "", id = "", topics }) {
  return topics.reduce((sum, topic) => sum + topic.length + 8, type.length + data.length + id.length);
}

/** A block as bytes of a stream. @param {Block} block */
function encode({ type, data, id, topics }) {
  const lines = topics.map((topic) => `topic: ${topic}\n`);
  if (data !== undefined) lines.push(`event: ${type}\n`, ...data.split("\n").map((line) => `data: ${line}\n`));
  if (id !== undefined) lines.push(`id: ${id}\n`);
  return lines.join("") + "\n";
}

/** The blocks of a small response. A larger one has an update in it, and is of no use. @param {Response} response */
async function json({ body }) {
  const [reader, utf8] = [body?.getReader(), new TextDecoder()];
  let text = "";
  for (let read; reader && !(read = await reader.read()).done; ) {
    text += utf8.decode(read.value, { stream: true });
    if (text.length > 1 << 16) return reader.cancel();
  }
  return JSON.parse(text);
}

/** @param {number} ms */
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Splits a URL into the rest and its topics, if events name their topics. @param {string} url */
function split(url) {
  const rest = new URL(url, globalThis.location?.href);
  const topics = rest.searchParams.getAll("topic");
  // An envelope has the topic inside, and no field.
  const isTold = rest.searchParams.get("fields") === "topic" && !rest.searchParams.has("envelope");
  if (!topics.length || !isTold) return { rest: url };
  rest.searchParams.delete("topic");
  return { rest: rest.href, topics };
}

/** The URL without what differs between attempts. @param {string} url */
function withoutCredential(url) {
  const rest = new URL(url, globalThis.location?.href);
  for (const name of ["ticket", "token", "access"]) if (rest.searchParams.has(name)) rest.searchParams.delete(name);
  return rest.href;
}

/** The URL with `topics` in place of its own, if there are any. @param {string} url @param {string[]} topics */
function join(url, topics) {
  if (!topics.length) return url;
  const joined = new URL(`${split(url).rest}`);
  for (const topic of topics) joined.searchParams.append("topic", topic);
  return joined.href;
}

/** Whether `pattern` covers everything that `topic` does. @param {string} pattern @param {string} topic */
function matches(pattern, topic) {
  return pattern === topic || pattern === "*" || (pattern.endsWith("/*") && topic.startsWith(pattern.slice(0, -1)));
}

/** Which of two IDs comes first, if both are a hub's, of one log. @param {string} one @param {string} other */
function compare(one, other) {
  const [a, b] = [one, other].map((id) => /^~[\w-]{24}$/.test(id) && atob(id.slice(1).replace(/-/g, "+").replace(/_/g, "/")));
  // 6 bytes identify the log, and 8 the position in it.
  if (!a || !b || a.slice(0, 6) !== b.slice(0, 6)) return undefined;
  const [at, from] = [a, b].map((bytes) => bytes.slice(6, 14));
  return at < from ? -1 : Number(at > from);
}
