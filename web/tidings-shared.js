// One connection for all tabs of an origin that follow the same URL: see docs/browser.md.
//
// Sharing takes place below an EventSource, where it asks for its stream: what it gets is a response like any other. Of
// the tabs, the one that holds a lock is the leader. It has the connection, and tells the others over a BroadcastChannel
// what came. Each tab keeps its own place, and whoever is to go on is asked, or asks the server, for what follows it.
// So it does not matter when a leader goes: nothing depends on what it knew.

import { Decoder, EventSource } from "./tidings.js";

/** @import { Block, Options } from "./interface.js" */

/** How often a tab asks a leader that says nothing. */
const ASK_MS = 200;

/** How many asks in a row remain without an answer before a leader counts as frozen. A hidden tab has more patience. */
const MISSED = 2;
const MISSED_HIDDEN = 10;

/** How often a leader may say that it does not know a place before a tab connects by itself. */
const UNKNOWN = 10;

/** How many blocks, and UTF-16 units of data, a tab keeps for those that are behind it. */
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
 * @property {string} [term] the leadership that speaks, or that is asked whether it is still there
 * @property {string} [to] the only member it is for
 * @property {string} [place]
 * @property {"joins" | "waits" | "unknown" | "opened" | "here" | "left" | "ended" | "broke"} [says]
 * @property {Block[]} [blocks]
 * @property {number} [count] how often this leadership has told blocks
 * @property {number} [retry]
 */

/** One request for a shared stream. */
class Member {
  #id = crypto.randomUUID();
  #url;
  #init;
  #fetch;
  #name;
  #channel;
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
  /** How often the leader has told blocks. A tab that was stopped may not have heard all of it. */
  #count = 0;
  #missed = 0;
  /** When another tab asked for something last. */
  #askedAt = -Infinity;
  #answered = (/** @type {Told} */ _) => {};
  #pulled = () => {};
  #ticking;

  /** @param {string} url @param {RequestInit} init @param {typeof globalThis.fetch} fetch @param {string} group */
  constructor(url, init, fetch, group) {
    this.#url = url;
    this.#init = init;
    this.#fetch = fetch;
    this.#name = ["tidings", init.credentials, group, url].join(" ");
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
      if (!refusal) return new Response(this.#body, { headers: { "Content-Type": "text/event-stream" } });
      this.#end();
      return refusal;
    } catch (error) {
      this.#end();
      throw error;
    }
  }

  /**
   * Finds out who has the connection. Resolves when there is one, or to what the server answered instead.
   * @returns {Promise<Response | undefined>}
   */
  async #seek() {
    this.#term = undefined;
    // Who begins in the history, and has no place in it, can't begin where the leader is.
    const begins = !this.#place && /[?&]from=(?!end)/.test(this.#url);
    for (let missed = 0, unknown = begins ? UNKNOWN : 0; !this.#ended; ) {
      if (await this.#lock({ ifAvailable: true })) return this.#connect(true);
      if (unknown >= UNKNOWN) return this.#connect(false);
      const { says } = await this.#ask();
      if (says === "joins") return undefined;
      if (says) missed = 0;
      // It may yet come to this place, if it has just begun where another tab was.
      if (says === "unknown") unknown++;
      if (says === "waits" || says === "unknown") await new Promise((resolve) => setTimeout(resolve, ASK_MS / 5));
      if (!says && ++missed >= (globalThis.document?.hidden ? MISSED_HIDDEN : MISSED)) {
        if (await this.#steal()) return this.#connect(true);
      }
    }
  }

  /** Asks the leader to be told what follows the own place. @returns {Promise<Told>} */
  #ask() {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ASK_MS, {});
      this.#answered = (told) => resolve((clearTimeout(timer), told));
      this.#tell({ ask: this.#id, place: this.#place });
    });
  }

  /** Takes the lock, and holds it until it is released, or stolen since this tab seems frozen. @param {LockOptions} how */
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
    this.#term = leads ? crypto.randomUUID() : undefined;
    const headers = new Headers(this.#init.headers);
    const place = String.fromCharCode(...new TextEncoder().encode(this.#place));
    if (place) headers.set("Last-Event-ID", place);
    // As a method it would be an illegal invocation.
    const fetch = this.#fetch;
    let response;
    try {
      response = await fetch(this.#url, { ...this.#init, headers, signal: connection.signal });
    } catch (error) {
      if (connection.signal.aborted && !this.#ended) return this.#seek();
      this.#leave();
      throw error;
    }
    const { status, headers: answered, body } = response;
    if (status !== 200 || !body || !answered.get("Content-Type")?.startsWith("text/event-stream")) {
      // Who asked may read why.
      this.#connection = new AbortController();
      this.#leave();
      return response;
    }
    this.#isOpen = true;
    if (leads) this.#tell({ term: this.#term, says: "opened" });
    this.#read(body.getReader(), connection.signal);
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
    const { ask, term, to, says, blocks } = told;
    if (ask) return this.#isLeader && this.#answer(told);
    if (to && to !== this.#id) return;
    if (says === "joins" || says === "waits" || says === "unknown") {
      // An answer that comes too late is for a place where this tab no longer is.
      if (says === "joins" && !this.#join(told)) return;
      return this.#answered(told);
    }
    if (says === "opened" && !this.#term) return this.#answered({ says: "waits" });
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
  #answer({ ask, place, term }) {
    this.#askedAt = Date.now();
    this.#pulled();
    if (term) return term === this.#term && this.#tell({ term, says: "here", count: this.#count });
    const blocks = place ? this.#after(place) : [];
    const says = !this.#isOpen ? "waits" : blocks ? "joins" : "unknown";
    this.#tell({
      to: ask,
      term: this.#term,
      says,
      blocks,
      place: place || this.#place,
      retry: this.#retry,
      count: this.#count,
    });
  }

  /** Follows a leader, if it goes on where this tab is. @param {Told} told */
  #join({ term, place, blocks = [], retry, count = 0 }) {
    if (this.#ended || this.#term || (this.#place && this.#place !== place)) return false;
    this.#connection.abort();
    this.#isOpen = false;
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
    // With a connection of its own, until a leader comes by.
    if (this.#isOpen && !this.#isLeader && this.#place) this.#tell({ ask: this.#id, place: this.#place });
    if (this.#isLeader || !this.#term) return;
    this.#missed++;
    if (this.#missed > 1) this.#tell({ ask: this.#id, term: this.#term });
    if (this.#missed > MISSED) this.#goOn();
  }

  /** The blocks behind `place`, if all of them are kept. @param {string} place */
  #after(place) {
    const at = this.#recent.findLastIndex(({ id }) => id === place);
    return at >= 0 || place === this.#before ? this.#recent.slice(at + 1) : undefined;
  }

  /** @param {Block[]} blocks @param {number} [retry] */
  #take(blocks, retry) {
    let text = blocks.map(encode).join("") || ":\n";
    if (retry !== this.#retry && retry !== undefined) text = `retry: ${(this.#retry = retry)}\n${text}`;
    for (const block of blocks) {
      this.#place = block.id ?? this.#place;
      this.#recent.push(block);
      this.#recentLength += block.data?.length ?? 0;
      while (this.#recent.length > RECENT_BLOCKS || this.#recentLength > RECENT_LENGTH) {
        const { id, data } = /** @type {Block} */ (this.#recent.shift());
        this.#before = id ?? this.#before;
        this.#recentLength -= data?.length ?? 0;
      }
    }
    this.#enqueue(text);
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

/** A block as the bytes of a stream say it. @param {Block} block */
function encode({ type, data, id, topics }) {
  const lines = topics.map((topic) => `topic: ${topic}\n`);
  if (data !== undefined) lines.push(`event: ${type}\n`, ...data.split("\n").map((line) => `data: ${line}\n`));
  if (id !== undefined) lines.push(`id: ${id}\n`);
  return lines.join("") + "\n";
}
