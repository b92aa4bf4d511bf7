// One connection for all tabs of an origin that follow the same URL, or topics of one hub: see docs/browser.md.
//
// Sharing takes place below an EventSource, where it asks for its stream: what it gets is a response like any other. Of
// the tabs, the one that holds a lock is the leader. It has the connection, and tells the others over a BroadcastChannel
// what came. Each tab keeps its own place, and asks the leader, or the server, for what follows it. So nothing depends on
// what a leader knew.
//
// Tabs with other `topics` share too. The leader asks for the topics of all, says of each event which it is for, and each
// tab picks its own. When a tab comes with topics that are not among them, the leader reconnects with these as well, from
// its own place. So its connection has all there is for the newcomer behind that place, and the newcomer joins once it
// has all there is before it.

import { Decoder, EventSource } from "./tidings.js";

/** @import { Block, Options } from "./interface.js" */

/** How often a tab asks a leader that says nothing. */
const ASK_MS = 200;

/** How many asks in a row are not answered before a leader counts as frozen. Hidden tabs are slow. */
const MISSED = 2;
const MISSED_HIDDEN = 10;

/** How often a leader may not know a place before a tab connects by itself. */
const UNKNOWN = 10;

/** How often a tab with its own connection asks while no leader gets one. Browsers have few. */
const BLOCKED = 5;

/** How long the leader waits for more topics before it reconnects with those that it was asked for. */
const WIDEN_MS = 20;

/** How many topics a hub takes in one request. */
const MAX_TOPICS = 256;

/** How often a leader that has too many may forget those that nobody follows. */
const NARROW_MS = 60_000;

/** How many closed topics a tab remembers, of the length that a hub allows. */
const MAX_CLOSED = 4096;
const MAX_TOPIC_LENGTH = 1024;

/** How many blocks, and UTF-16 units in them, a tab keeps for those that are behind it. */
const RECENT_BLOCKS = 1000;
const RECENT_LENGTH = 1 << 20;

/** How much may wait for a consumer before its tab stops listening to the leader. */
const LAG_BYTES = 1 << 20;

/** An EventSource that has one connection together with those of other tabs. */
export class SharedEventSource extends EventSource {
  /**
   * @param {string | URL} url
   * @param {Options & { group?: string }} [options] only tabs with the same `group` share, for pages that act for
   *   several people
   */
  constructor(url, options = {}) {
    super(url, { ...options, fetch: share(options.fetch, options.group) });
  }
}

/**
 * A `fetch` whose event streams are shared. Without Web Locks, which only secure contexts have, it is as it was.
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
 * @typedef {object} Told what goes over the channel
 * @property {string} [ask] the member that asks to be told what follows its `place`
 * @property {string} [term] the leadership that speaks, or is asked whether it is there
 * @property {string} [to] the only member it is for
 * @property {string} [place]
 * @property {string[]} [topics] what who asks follows, or what the leader does
 * @property {boolean} [ahead] whether the leader has yet to come to the place of who joins
 * @property {string[]} [refused] topics that the hub refuses
 * @property {"joins" | "waits" | "unknown" | "opened" | "here" | "left" | "ended" | "broke"} [says]
 * @property {Block[]} [blocks]
 * @property {number} [count]
 * @property {number} [retry]
 * @property {boolean} [hub] whether a hub speaks
 */

/** One request for a shared stream. */
class Member {
  #id = crypto.randomUUID();
  #url;
  #init;
  #fetch;
  #name;
  #channel;
  /** What this tab follows, if it may be a part of what the leader does. @type {string[] | undefined} */
  #topics;
  /** What the recent blocks are all blocks of, and what it asks for when it leads. @type {string[]} */
  #union;
  /** Of the topics. @type {Set<string>} */
  #closed = new Set();
  /** @type {Set<string>} */
  #refused = new Set();
  /** What the leader is to follow as well. @type {Set<string>} */
  #wanted = new Set();
  #narrowedAt = -Infinity;
  /** @type {ReadableStreamDefaultController<Uint8Array>} */
  // @ts-expect-error: `start` of the stream assigns it within the constructor.
  #consumer;
  #body;
  #ended = false;

  /** The ID of the last event that this tab was given. */
  #place;
  /** What it was given last, and the place before that. @type {Block[]} */
  #recent = [];
  #before;
  #recentLength = 0;
  /** Whether the leader, which is followed, has yet to come to this tab's place. */
  #isAhead = false;
  #isSeeking = false;
  /** Whether the stream is a hub's. */
  #isHub = false;
  /** @type {number | undefined} */
  #retry;

  /** The leadership that is followed, or that this tab has. Another one is not heard. @type {string | undefined} */
  #term;
  #isLeader = false;
  #isOpen = false;
  /** Gives up the lock. */
  #release = () => {};
  /** The connection of this tab, if it has one. */
  #connection = new AbortController();
  /** How often the leader has told blocks. A tab that was stopped may have missed some. */
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
    const { rest, topics } = split(url);
    this.#topics = topics;
    this.#union = topics ?? [];
    this.#name = ["tidings", init.credentials, group, rest].join(" ");
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

  /** A response that is a stream, whoever has the connection; or a refusal, from the server itself. */
  async open() {
    try {
      const refusal = await this.#seek();
      this.#init.signal?.throwIfAborted();
      const headers = new Headers({ "Content-Type": "text/event-stream" });
      if (this.#isHub) headers.set("Tidings-Hub", "1");
      if (!refusal) return new Response(this.#body, { headers });
      this.#end();
      return refusal;
    } catch (error) {
      this.#end();
      throw error;
    }
  }

  /**
   * Finds out who has the connection. Resolves once there is one, or to what the server answered instead.
   * @returns {Promise<Response | undefined>}
   */
  async #seek() {
    if (this.#isSeeking) return undefined;
    this.#isSeeking = true;
    const leads = await this.#decide();
    this.#isSeeking = false;
    return leads === undefined ? undefined : this.#connect(leads);
  }

  /** Whether to lead, or to connect for itself, unless it follows a leader. */
  async #decide() {
    // Who begins in the history, and has no place in it, can't begin where the leader is.
    const begins = !this.#place && /[?&]from=(?!end)/.test(this.#url);
    for (let missed = 0, unknown = begins ? UNKNOWN : 0; !this.#ended && !this.#term; ) {
      if (await this.#lock({ ifAvailable: true })) return true;
      // What the leader is sent may begin long before now.
      if (this.#topics && !this.#place && !begins && !(await this.#reachNewest())) unknown = UNKNOWN;
      if ((unknown >= UNKNOWN || this.#isRefused) && !this.#term) return false;
      const { says } = await this.#ask();
      if (says) missed = 0;
      // It may yet come to this place, if it has just begun where another tab was.
      if (says === "unknown" && ++unknown === 1) await this.#reachNewest();
      if (says === "waits" || says === "unknown") await sleep(ASK_MS / 5);
      if (!says && ++missed >= (globalThis.document?.hidden ? MISSED_HIDDEN : MISSED)) {
        if (await this.#steal()) return true;
      }
    }
    return undefined;
  }

  /** Asks the leader to be told what follows the own place. @returns {Promise<Told>} */
  async #ask() {
    // An answer that came late is as good.
    if (this.#term) return { says: "joins" };
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ASK_MS, {});
      this.#answered = (told) => resolve((clearTimeout(timer), told));
      this.#tell({ ask: this.#id, place: this.#place, topics: this.#topics });
    });
  }

  /**
   * Goes on to the newest place of the hub's log, if nothing for this tab is between its own place, or now, and that.
   * Where its topics are silent nothing else would bring it to where the leader is.
   */
  async #reachNewest() {
    if (!this.#topics) return false;
    const place = this.#place;
    const url = new URL(this.#url);
    url.searchParams.set("from", place || "end");
    url.searchParams.set("limit", "1");
    const headers = new Headers(this.#init.headers);
    headers.delete("Last-Event-ID");
    headers.set("Accept", "application/json");
    const fetch = this.#fetch;
    try {
      const { updates, next, more, gap, closed } = await json(await fetch(url.href, { ...this.#init, headers }));
      if (updates.length || more || gap || closed || this.#place !== place || this.#term) return false;
      const data = place || url.searchParams.get("start") === "none" ? undefined : JSON.stringify({ id: next });
      this.#take([{ type: "start", data, id: next, topics: [] }]);
      this.#forget();
      return true;
    } catch {
      // Its own connection will tell why.
      return false;
    }
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
        // While it connects, that is aborted, and seeks again.
        if (this.#isLeader) this.#leave(this.#isOpen);
      });
    });
  }

  /** Takes the lock from a tab that does not answer. One tab does at a time, lest the next take it from this one. */
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
    const headers = new Headers(this.#init.headers);
    const bytes = Array.from(new TextEncoder().encode(this.#place), (byte) => String.fromCharCode(byte));
    if (this.#place) headers.set("Last-Event-ID", bytes.join(""));
    // As a method it would be an illegal invocation.
    const fetch = this.#fetch;
    let response;
    try {
      response = await fetch(join(this.#url, this.#union), { ...this.#init, headers, signal: connection.signal });
      connection.signal.throwIfAborted();
    } catch (error) {
      if (connection.signal.aborted && !this.#ended) return this.#seek();
      this.#leave();
      throw error;
    }
    const { status, headers: answered, body } = response;
    if (status !== 200 || !body || !Decoder.reads(answered)) {
      // Who asked may read why.
      this.#connection = new AbortController();
      this.#leave();
      return response;
    }
    this.#isOpen = true;
    this.#isHub = answered.has("Tidings-Hub");
    if (leads) this.#tell({ term: this.#term, says: "opened" });
    else this.#rejoin(connection.signal);
    this.#read(body.getReader(), connection.signal);
  }

  /** As the leader, reconnects with what the others want as well. They wait, and join again. */
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
   * What all tabs learn when the connection is gone: each comes back as its EventSource does.
   * @param {"ended" | "broke"} says
   * @param {unknown} [error]
   */
  #finish(says, error) {
    if (this.#isLeader) this.#tell({ term: this.#term, says });
    this.#attempt(() => (says === "ended" ? this.#consumer.close() : this.#consumer.error(error)));
    this.#end();
  }

  /** Lets go of the connection and the lock. @param {boolean} [goesOn] whether it looks for another leader */
  #leave(goesOn = false) {
    if (this.#isLeader) this.#tell({ term: this.#term, says: "left" });
    this.#isLeader = this.#isOpen = false;
    this.#term = undefined;
    this.#connection.abort();
    this.#release();
    if (goesOn) this.#goOn();
  }

  /** Looks for the stream again, behind what this tab was given. */
  async #goOn() {
    this.#term = undefined;
    while (this.#isLagging && !this.#ended) await this.#room();
    try {
      const refusal = await this.#seek();
      if (!refusal) return;
      refusal.body?.cancel().catch(() => {});
      throw new TypeError(`the answer is ${refusal.status}`);
    } catch (error) {
      // The EventSource asks again, with fresh headers, and hears the refusal itself.
      this.#finish("broke", error);
    }
  }

  /** @param {Told} told */
  #hear(told) {
    const { ask, term, to, says, blocks, refused = [] } = told;
    if (ask) return this.#isLeader && this.#answer(told);
    for (const topic of refused) this.#refused.add(topic);
    if (to) {
      // An answer that comes too late is for a place where this tab no longer is.
      if (to !== this.#id || (says === "joins" && !this.#join(told))) return;
      return this.#answered(told);
    }
    if (!this.#term) return says === "opened" && this.#answered({ says: "waits" });
    // Of a leader that was deposed, or of one that is not followed yet.
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
      hub: this.#isHub,
    });
  }

  /** Whether `topics` are going to be followed. @param {string[]} topics */
  #want(topics) {
    // Without a place it would lose what comes while it reconnects.
    if (!this.#place) return true;
    if (topics.some((topic) => this.#refused.has(topic))) return false;
    if (new Set([...this.#union, ...this.#wanted, ...topics]).size > MAX_TOPICS) {
      if (Date.now() - this.#narrowedAt < NARROW_MS) return false;
      this.#narrowedAt = Date.now();
      // Whoever follows more asks for it again.
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

  /** Follows a leader, if it goes on where this tab is. @param {Told} told */
  #join({ term, place, blocks = [], retry, count = 0, topics, ahead = false, hub = false }) {
    if (this.#ended || this.#term || (this.#place && this.#place !== place)) return false;
    this.#connection.abort();
    this.#isOpen = false;
    this.#isAhead = ahead;
    this.#isHub = hub;
    this.#cover(topics);
    this.#term = term;
    this.#count = count;
    this.#missed = 0;
    this.#enqueue(":\n");
    // A tab without a place takes the leader's, to come back to it.
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

  /** With a connection of its own, until a leader comes by. @param {AbortSignal} signal */
  async #rejoin(signal) {
    for (let blocked = 0; blocked < BLOCKED; ) {
      await sleep(ASK_MS);
      if (signal.aborted) return;
      const place = this.#place;
      if (!place || this.#isRefused) continue;
      const { says } = await this.#ask();
      blocked = says && says !== "waits" ? 0 : blocked + 1;
      // Once for each place.
      if (says === "unknown" && this.#place === place && place !== this.#before) {
        const reached = await Promise.race([this.#reachNewest(), sleep(BLOCKED * ASK_MS)]);
        if (reached === undefined) blocked = BLOCKED;
      }
    }
    if (!signal.aborted) this.#leave(true);
  }

  /**
   * The blocks behind `place`, if all of them are kept.
   * @param {string} place
   * @returns {{ blocks?: Block[], ahead?: boolean }}
   */
  #after(place) {
    const at = this.#recent.findLastIndex(({ id }) => id === place);
    if (at >= 0 || place === this.#before) return { blocks: this.#recent.slice(at + 1) };
    // A place between two events, as where another tab began, or one that is yet to come.
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
      if (block.type === "close" && this.#isHub) this.#close(block.topics);
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

  /** @param {string[]} topics */
  #close(topics) {
    for (const topic of topics) if (topic.length <= MAX_TOPIC_LENGTH) this.#closed.add(topic);
    for (const topic of this.#closed) {
      if (this.#closed.size <= MAX_CLOSED) break;
      this.#closed.delete(topic);
    }
  }

  /** What the hub itself says is for all. @param {Block} block */
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

  /** Does what fails once the stream has ended. @param {() => void} action */
  #attempt(action) {
    try {
      action();
    } catch {
      // Nobody listens any more.
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

/** About as many UTF-16 units as a block has. @param {Block} block */
function length({ type, data = "", id = "", topics }) {
  return topics.reduce((sum, topic) => sum + topic.length + 8, type.length + data.length + id.length);
}

/** A block as the bytes of a stream say it. @param {Block} block */
function encode({ type, data, id, topics }) {
  const lines = topics.map((topic) => `topic: ${topic}\n`);
  if (data !== undefined) lines.push(`event: ${type}\n`, ...data.split("\n").map((line) => `data: ${line}\n`));
  if (id !== undefined) lines.push(`id: ${id}\n`);
  return lines.join("") + "\n";
}

/** What a small answer says. A larger one has an update in it, and is of no use. @param {Response} response */
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

/** A URL without its topics, and these, if what comes says which it is for. @param {string} url */
function split(url) {
  const rest = new URL(url, globalThis.location?.href);
  const topics = rest.searchParams.getAll("topic");
  // An envelope has the topic inside, and no field.
  const isTold = rest.searchParams.get("fields") === "topic" && !rest.searchParams.has("envelope");
  if (!topics.length || !isTold) return { rest: url };
  rest.searchParams.delete("topic");
  return { rest: rest.href, topics };
}

/** The URL with `topics` in place of its own, if there are any. @param {string} url @param {string[]} topics */
function join(url, topics) {
  if (!topics.length) return url;
  const joined = new URL(`${split(url).rest}`);
  for (const topic of topics) joined.searchParams.append("topic", topic);
  return joined.href;
}

/** Whether `pattern` stands for all that `topic` does. @param {string} pattern @param {string} topic */
function matches(pattern, topic) {
  return pattern === topic || pattern === "*" || (pattern.endsWith("/*") && topic.startsWith(pattern.slice(0, -1)));
}

/** Which of two IDs comes first, if both are a hub's own, of one log. @param {string} one @param {string} other */
function compare(one, other) {
  const [a, b] = [one, other].map((id) => /^~[\w-]{24}$/.test(id) && atob(id.slice(1).replace(/-/g, "+").replace(/_/g, "/")));
  // 6 bytes say which log, and 8 where in it.
  if (!a || !b || a.slice(0, 6) !== b.slice(0, 6)) return undefined;
  const [at, from] = [a, b].map((bytes) => bytes.slice(6, 14));
  return at < from ? -1 : Number(at > from);
}
