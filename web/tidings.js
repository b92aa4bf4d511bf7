// Follows event streams like an EventSource, with more options: see docs/browser.md.

/** @import { Block, Failure, Options, StreamEvent, StreamTarget } from "./interface.js" */

/** Three heartbeats of a hub. */
const IDLE_MS = 45_000;

/** A longer timer fires at once. */
const LONGEST_MS = 2 ** 31 - 1;

const LEAST_WAIT_MS = 100;
const HOUR_MS = 3_600_000;

/** A longer ID is ignored: sent as a header, it would make the server refuse every later request. */
const MAX_ID = 4096;

/** Bytes to events. Source: HTML, "Interpreting an event stream". */
export class Decoder {
  /** @type {number | undefined} */
  retry;
  comments = false;

  #utf8 = new TextDecoder();
  /** An unfinished line. Searched again, a long one would cost its length squared. */
  #rest = "";
  #afterCr = false;
  /** @type {string | undefined} */
  #id;
  #type = "";
  /** @type {string | undefined} */
  #data;
  /** @type {string[]} */
  #topics = [];
  /** The length of the block so far. */
  #length = 0;
  #max;

  /** @param {number} [max] the longest line and event */
  constructor(max = 2 ** 24) {
    this.#max = max;
  }

  /** Returns the blocks that end in `chunk`. @param {Uint8Array} chunk */
  decode(chunk) {
    const text = this.#utf8.decode(chunk, { stream: true });
    /** @type {Block[]} */
    const blocks = [];
    if (!text) return blocks;
    // A CR ends its line at once; an LF after it belongs to it.
    let start = this.#afterCr && text[0] === "\n" ? 1 : 0;
    this.#afterCr = text.endsWith("\r");
    const find = (/** @type {string} */ end) => (text.indexOf(end, start) + 1 || Infinity) - 1;
    let cr = find("\r");
    let lf = find("\n");
    for (let end; (end = Math.min(cr, lf)) < Infinity; ) {
      this.#takeLine(this.#rest + text.slice(start, end), blocks);
      this.#rest = "";
      start = end + 1;
      if (end === cr) {
        if (lf === start) start++;
        cr = find("\r");
      }
      if (lf < start) lf = find("\n");
    }
    this.#rest += text.slice(start);
    this.#limit(this.#rest.length);
    return blocks;
  }

  /** @param {string} line @param {Block[]} blocks */
  #takeLine(line, blocks) {
    if (!line) {
      const data = this.#data?.slice(0, -1);
      blocks.push({ type: this.#type || "message", data, id: this.#id, topics: this.#topics });
      this.#type = "";
      this.#id = this.#data = undefined;
      this.#topics = [];
      this.#length = 0;
      return;
    }
    const colon = line.indexOf(":");
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + (line[colon + 1] === " " ? 2 : 1));
    if (!name) this.comments = true;
    else if (name === "data") this.#data = (this.#data ?? "") + value + "\n";
    else if (name === "event") this.#type = value;
    else if (name === "id" && !value.includes("\0") && value.length <= MAX_ID) this.#id = value;
    else if (name === "retry" && /^\d+$/.test(value)) this.retry = Number(value);
    else if (name === "topic") this.#topics.push(value);
    // Comments and unknown fields are dropped.
    if (/^(data|event|topic)$/.test(name)) this.#limit((this.#length += line.length));
  }

  /** @param {number} length */
  #limit(length) {
    if (length > this.#max) throw new RangeError(`an event is longer than ${this.#max}`);
  }

  /** Whether a response is an event stream. Source: Fetch, "extract a MIME type". @param {Headers} headers */
  static reads(headers) {
    const values = (headers.get("Content-Type") ?? "").toLowerCase().replace(/"(\\.|[^"])*"?/g, "").split(",");
    const types = values.map((value) => value.split(";")[0].trim());
    return types.findLast((type) => /^[^\s/]+\/[^\s/]+$/.test(type) && type !== "*/*") === "text/event-stream";
  }
}

/** @type {new () => StreamTarget} */
const Target = EventTarget;

/** Follows a stream across reconnections. */
export class EventSource extends Target {
  static CONNECTING = 0;
  static OPEN = 1;
  static CLOSED = 2;
  CONNECTING = 0;
  OPEN = 1;
  CLOSED = 2;

  /** @type {((event: Event) => void) | null} */
  onopen = null;
  /** @type {((event: StreamEvent) => void) | null} */
  onmessage = null;
  /** Final if `readyState` is CLOSED. @type {((event: Event & Failure) => void) | null} */
  onerror = null;

  /** @type {number} */
  #state = this.CONNECTING;
  #options;
  #lastEventId;
  /** The response to a POST may change them. */
  #method;
  #at;
  /** @type {Set<string> | undefined} */
  #topics;
  /** To renew once there is an ID to resume from. */
  #changed = false;

  #attempts = 0;
  #failures = 0;
  #reconnectionTime;
  #hurry = () => {};
  /** From Retry-After. */
  #notBefore = 0;
  #connection = new AbortController();
  #listeners = new AbortController();
  #asleep = false;
  /** Whether the request may be sent again. */
  #repeatable = true;
  #brought = false;
  /** Whether `start` and `close` have a hub's meaning. */
  #isHub = false;
  #comments = false;
  /** By the wall clock, which goes on while the machine sleeps. */
  #silentSince = Infinity;
  /** Which attempt brought each of the latest IDs. @type {Map<string, number>} */
  #seen = new Map();

  /** Events that iterators have not taken yet. @type {Set<StreamEvent[]>} */
  #queues = new Set();
  /** @type {(() => void)[]} */
  #waiting = [];
  /** @type {unknown} */
  #error;

  /** @param {string | URL} url @param {Options} [options] */
  constructor(url, options = {}) {
    super();
    /** @readonly */
    this.url = parse(url);
    /** @readonly */
    this.withCredentials = !!options.withCredentials;
    this.#options = options;
    this.#lastEventId = options.lastEventId ?? "";
    this.#method = (options.method ?? "GET").toUpperCase();
    this.#at = this.url;
    this.#topics = options.topics && new Set(options.topics);
    this.#reconnectionTime = options.reconnectionTime ?? 3000;
    for (const type of /** @type {const} */ (["open", "message", "error"])) {
      this.addEventListener(type, (event) => this[`on${type}`]?.(event));
    }

    const listener = (/** @type {Event} */ { type }) => {
      if (type === "visibilitychange" && document.hidden) return;
      // A frozen page cannot read, and the browser keeps no page with a connection.
      const sleeps = /freeze|hide/.test(type) && this.#repeatable;
      // The old connection went through another network.
      const silence = type === "online" && this.#lastEventId ? 0 : this.#idle / 2 || Infinity;
      if (sleeps || (this.#repeatable && Date.now() - this.#silentSince >= silence)) this.#connection.abort();
      if (sleeps || this.#asleep || Date.now() >= this.#notBefore) this.#hurry();
      this.#asleep = sleeps;
    };
    for (const type of ["pagehide", "freeze", "pageshow", "resume", "visibilitychange", "online"]) {
      for (const target of [globalThis, globalThis.document]) target?.addEventListener?.(type, listener, this.#listeners);
    }
    this.#follow();
  }

  get readyState() {
    return this.#state;
  }

  get lastEventId() {
    return this.#lastEventId;
  }

  /** Only at a hub. Topics that stay lose nothing. */
  get topics() {
    return [...(this.#topics ?? [])];
  }

  set topics(topics) {
    this.#topics = new Set(topics);
    this.#changed = this.#state === this.OPEN && !this.#lastEventId;
    if (!this.#changed) this.#renew();
  }

  /** Ends the source. */
  close() {
    for (const queue of this.#queues) queue.length = 0;
    this.#end();
    this.#renew();
  }

  /** Closes, and asks the server to stop the work. */
  async stop() {
    this.close();
    const response = await this.#fetch("DELETE", { keepalive: true });
    if (!response.ok) throw refused(response).error;
  }

  /** All events except a hub's `start`. Nothing is read until you take them. */
  async *[Symbol.asyncIterator]() {
    /** @type {StreamEvent[]} */
    const queue = [];
    this.#queues.add(queue);
    try {
      for (;;) {
        yield* queue;
        queue.length = 0;
        this.#wake();
        if (this.#state === this.CLOSED) break;
        await this.#change();
      }
      if (this.#error) throw this.#error;
    } finally {
      this.#queues.delete(queue);
      this.close();
    }
  }

  /** @returns {Promise<void>} */
  #change() {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #wake() {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  #renew() {
    this.#connection.abort();
    this.#hurry();
  }

  #end() {
    this.#state = this.CLOSED;
    this.#listeners.abort();
    this.#wake();
  }

  get #idle() {
    return this.#options.idleTimeout ?? (this.#comments ? IDLE_MS : 0);
  }

  async #follow() {
    while (this.#state !== this.CLOSED) {
      if (this.#asleep || this.#topics?.size === 0) {
        await this.#pause(Infinity);
        continue;
      }
      const { signal } = (this.#connection = new AbortController());
      const watchdog = setInterval(() => {
        const silence = Date.now() - this.#silentSince;
        if (this.#idle && silence > this.#idle) this.#connection.abort(new Error(`nothing arrived for ${silence} ms`));
      }, 1000);
      const began = Date.now();
      this.#brought = false;
      this.#repeatable = true;
      /** @type {Failure & { isFinal?: boolean, wait?: number }} */
      let end;
      try {
        end = await this.#exchange(signal);
      } catch (error) {
        end = { error: signal.reason ?? error, isFinal: error instanceof RangeError };
      }
      clearInterval(watchdog);
      this.#silentSince = Infinity;
      if (this.#state === this.CLOSED) return;
      this.#state = this.CONNECTING;
      if (signal.reason?.name === "AbortError" && this.#repeatable) continue;

      // A server that ends at once must not get requests without a pause.
      const healthy = this.#brought || Date.now() - began > 30_000;
      if (healthy) this.#failures = 0;
      if (!healthy || end.error) this.#failures++;
      const { error, response, wait = 0 } = end;
      let retryIn, pause;
      if (end.isFinal || !this.#repeatable) {
        this.#error = error;
        this.#end();
        if (!response) this.#connection.abort();
      } else {
        const time = this.#reconnectionTime;
        // Not all clients return at the same moment.
        const span = this.#failures ? Math.max(time, 1000) * 2 ** (this.#failures - 1) : time / 4;
        const backoff = Math.random() * Math.min(span, this.#options.maxBackoff ?? 60_000);
        const asked = Math.min(wait, this.#mostWait);
        retryIn = Math.max(time + backoff, asked, this.#brought ? 0 : LEAST_WAIT_MS);
        this.#notBefore = Date.now() + asked;
        pause = this.#pause(retryIn);
      }
      this.dispatchEvent(Object.assign(new Event("error"), { error, response, retryIn }));
      // An unread body holds its connection.
      if (!response?.bodyUsed) response?.body?.cancel().catch(() => {});
      await pause;
    }
  }

  get #mostWait() {
    return Math.min(this.#options.maxWait ?? HOUR_MS, 24 * HOUR_MS);
  }

  /** @param {number} ms */
  #pause(ms) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, Math.min(ms, LONGEST_MS));
      this.#hurry = () => resolve(clearTimeout(timer));
    });
  }

  /** One attempt. @param {AbortSignal} signal */
  async #exchange(signal) {
    const { protocol, username, password } = new URL(this.#at);
    if (username || password || !["http:", "https:", "data:", "blob:", globalThis.location?.protocol].includes(protocol)) {
      const what = username || password ? "credentials in a URL" : protocol;
      return { error: new TypeError(`fetch refuses ${what}`), isFinal: true };
    }
    const response = await this.#fetch(this.#method, { body: this.#options.body, cache: "no-store", signal });
    const { status, headers, body } = response;
    if (status === 204) return { isFinal: true };
    const opens = status === 200 || (response.ok && this.#method !== "GET");
    if (!opens || !body || !Decoder.reads(headers)) return refused(response);
    this.#isHub = headers.has("Tidings-Hub");
    const url = response.url || this.url;
    const at = headers.get("Location") ?? headers.get("Content-Location");
    if (at && this.#method !== "GET") {
      const target = new URL(at, url);
      // Stopping needs more rights than reading.
      const token = headers.get("Tidings-Stop-Token");
      if (token) target.searchParams.set("token", token);
      this.#at = target.href;
      this.#method = "GET";
      this.#repeatable = true;
    }
    this.#state = this.OPEN;
    this.dispatchEvent(new Event("open"));

    const { origin } = new URL(url);
    const decoder = new Decoder(this.#options.maxEventLength);
    const reader = body.getReader();
    let last = "";
    for (;;) {
      signal.throwIfAborted();
      this.#silentSince = Date.now();
      const { done, value } = await reader.read();
      this.#silentSince = Infinity;
      // A subscription to several topics goes on when one is closed.
      if (done) return { isFinal: this.#method !== "GET" || (this.#isHub && last === "close" && !/\*|%2a|topic=.*topic=/i.test(this.#target)) };
      for (const block of decoder.decode(value)) {
        if (signal.aborted) break;
        if (this.#isRepeat(block)) continue;
        this.#deliver(block, origin);
        last = block.type;
      }
      this.#comments ||= decoder.comments;
      if (decoder.retry !== undefined) this.#reconnectionTime = Math.min(Math.max(decoder.retry, LEAST_WAIT_MS), this.#mostWait);
      if (this.#changed) this.topics = this.topics;
      while ([...this.#queues].some((queue) => queue.length)) await this.#change();
    }
  }

  get #target() {
    const url = new URL(this.#at);
    if (this.#topics) url.searchParams.set("fields", "topic");
    for (const topic of this.topics) url.searchParams.append("topic", topic);
    return url.href;
  }

  /** @param {string} method @param {RequestInit} init */
  async #fetch(method, init) {
    const { headers: given, fetch = globalThis.fetch } = this.#options;
    const lastEventId = this.#lastEventId;
    this.#attempts++;
    const headers = new Headers(typeof given === "function" ? await given({ number: this.#attempts, lastEventId }) : given);
    init.signal?.throwIfAborted();
    if (!headers.has("Accept")) headers.set("Accept", "text/event-stream");
    // UTF-8, each byte as a character.
    const bytes = Array.from(new TextEncoder().encode(lastEventId), (byte) => String.fromCharCode(byte));
    if (lastEventId) headers.set("Last-Event-ID", bytes.join(""));
    if (method === "GET") init.body = undefined;
    else this.#repeatable = headers.has("Idempotency-Key");
    this.#silentSince = Date.now();
    return fetch(this.#target, { method, headers, credentials: this.withCredentials ? "include" : "same-origin", ...init });
  }

  /** @param {Block} block */
  #isRepeat({ id }) {
    const { dedupe } = this.#options;
    if (!id || !dedupe) return false;
    const brought = this.#seen.get(id);
    // Some servers give one ID to several events.
    if (brought) return brought !== this.#attempts;
    this.#seen.set(id, this.#attempts);
    const [oldest] = this.#seen.keys();
    if (this.#seen.size > dedupe) this.#seen.delete(oldest);
    return false;
  }

  /** @param {Block} block @param {string} origin */
  #deliver({ type, data, id = this.#lastEventId, topics }, origin) {
    this.#lastEventId = id;
    if (data === undefined) return;
    this.#brought = true;
    const event = Object.assign(new MessageEvent(type, { data, lastEventId: id, origin }), { topics });
    if (!this.#isHub || type !== "start") for (const queue of this.#queues) queue.push(event);
    this.#wake();
    this.dispatchEvent(event);
  }
}

/** @param {string | URL} url */
function parse(url) {
  try {
    return new URL(url, globalThis.document?.baseURI ?? globalThis.location?.href).href;
  } catch {
    throw new DOMException(`${url} is not a URL`, "SyntaxError");
  }
}

/** @param {Response} response */
function refused(response) {
  const { status, headers } = response;
  const error = new Error(`the answer is ${status} (${headers.get("Content-Type")})`);
  const after = headers.get("Retry-After") ?? "";
  const wait = Number(after) * 1000 || Date.parse(after) - Date.now() || 0;
  return { error, response, isFinal: status !== 408 && status !== 429 && status < 500, wait };
}
