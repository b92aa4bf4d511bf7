// Follows event streams like an EventSource, with more options: see docs/browser.md.

/** @import { Access, Attempt, Block, Failure, Options, Prepared, Stream, StreamEvent, StreamTarget } from "./interface.js" */

/** Three heartbeats of a hub. */
const IDLE_MS = 45_000;

/** A longer timer fires at once. */
const LONGEST_MS = 2 ** 31 - 1;

const LEAST_WAIT_MS = 100;

/** Between two renewals: a credential may stay the same. */
const RENEWAL_MS = 1000;
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
  /** What a hub says of the credential, or why a request was refused for good. @type {((event: Event & Access) => void) | null} */
  onaccess = null;
  /** Final if `readyState` is CLOSED. @type {((event: Event & Failure) => void) | null} */
  onerror = null;

  /** @type {number} */
  #state = this.CONNECTING;
  #options;
  #lastEventId;
  #given;
  #url;
  #method;
  /** Where the response to a POST has put the stream. */
  #at = "";
  /** The URL of the latest request. */
  #target = "";
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
  /** Whether `start`, `close` and `access` have a hub's meaning. */
  #isHub = false;
  /** Whether a new attempt has a new credential. */
  #renews;
  #renewedAt = -Infinity;
  /** Whether the hub took a credential. A cookie may run out. */
  #isHolder = false;
  /** Whether the answer has been 401 since the last stream. */
  #isRefused = false;
  /** IDs that an older stream brought while this one was opened. @type {string[]} */
  #overlap = [];
  #comments = false;
  /** By the wall clock, which goes on while the machine sleeps. */
  #silentSince = Infinity;
  /** Which stream brought each of the latest IDs. @type {Map<string, Stream>} */
  #seen = new Map();

  /** Events that iterators have not taken yet. @type {Set<StreamEvent[]>} */
  #queues = new Set();
  /** @type {(() => void)[]} */
  #waiting = [];
  /** @type {unknown} */
  #error;

  /**
   * @param {string | URL | ((attempt: Attempt) => string | URL | Promise<string | URL>)} url
   * @param {Options} [options]
   */
  constructor(url, options = {}) {
    super();
    this.#given = url;
    this.#url = typeof url === "function" ? "" : parse(url);
    this.#renews = !!options.ticket || [url, options.headers].some((given) => typeof given === "function");
    /** @readonly */
    this.withCredentials = !!options.withCredentials;
    this.#options = options;
    this.#lastEventId = options.lastEventId ?? "";
    this.#method = (options.method ?? "GET").toUpperCase();
    this.#topics = options.topics && new Set(options.topics);
    this.#reconnectionTime = options.reconnectionTime ?? 3000;
    for (const type of /** @type {const} */ (["open", "message", "error"])) {
      this.addEventListener(type, (event) => this[`on${type}`]?.(event));
    }
    this.addEventListener("access", (event) => event.reason && this.onaccess?.(event));

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

  get url() {
    return this.#url;
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
    if (!response.ok) throw refused(response);
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
      let error, isFinal, wait;
      /** @type {Response | undefined} */
      let response;
      try {
        isFinal = await this.#exchange(signal);
      } catch (caught) {
        error = signal.reason ?? caught;
        ({ response, wait, isFinal = caught instanceof RangeError } = Object(caught));
      }
      clearInterval(watchdog);
      this.#silentSince = Infinity;
      if (this.#state === this.CLOSED) return;
      this.#state = this.CONNECTING;
      if (signal.reason?.name === "AbortError" && this.#repeatable) continue;

      // A server that ends at once must not get requests without a pause.
      const healthy = this.#brought || Date.now() - began > 30_000;
      if (healthy) this.#failures = 0;
      if (!healthy || error) this.#failures++;
      let retryIn, pause;
      // Once, with a credential made after the refusal.
      const isAgain = response?.status === 401 && this.#renews && !this.#isRefused;
      this.#isRefused ||= isAgain;
      if ((isFinal && !isAgain) || !this.#repeatable) {
        this.#error = error;
        this.#end();
        if (!response) this.#connection.abort();
      } else {
        const time = this.#reconnectionTime;
        // Not all clients return at the same moment.
        const span = this.#failures ? Math.max(time, 1000) * 2 ** (this.#failures - 1) : time / 4;
        const backoff = Math.random() * Math.min(span, this.#options.maxBackoff ?? 60_000);
        const asked = isAgain ? 0 : Math.min(wait ?? 0, this.#mostWait);
        retryIn = isAgain ? LEAST_WAIT_MS : Math.max(time + backoff, asked, this.#brought ? 0 : LEAST_WAIT_MS);
        this.#notBefore = Date.now() + asked;
        pause = this.#pause(retryIn);
      }
      const refusal = !retryIn && /40[13]/.test(`${response?.status}`) && response?.clone();
      this.dispatchEvent(Object.assign(new Event("error"), { error, response, retryIn }));
      if (refusal) this.#explain(refusal);
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

  /** @param {Response} refusal */
  async #explain({ status, headers, body }) {
    const isJson = /json/.test(headers.get("Content-Type") ?? "");
    const { rule, detail } = Object(isJson && (await new Response(body).json().catch(() => {})));
    this.dispatchEvent(Object.assign(new Event("access"), { reason: "refused", status, rule, detail }));
  }

  /** One stream, with those that renew its credential. Returns whether it is the last. @param {AbortSignal} signal */
  async #exchange(signal) {
    const first = await this.#open(signal);
    if (!first) return true;
    let stream = first;
    this.#state = this.OPEN;
    this.dispatchEvent(new Event("open"));

    let last = "";
    /** @type {string[]} */
    let overlap = [];
    /** @type {Promise<Stream | null> | undefined} */
    let renewal;
    for (;;) {
      signal.throwIfAborted();
      this.#silentSince = Date.now();
      stream.read ??= stream.reader.read();
      const { read } = stream;
      if (renewal) {
        // The old stream counts until the new one has its first bytes.
        const ended = () => renewal;
        const next = await Promise.race([renewal, read.then(({ done }) => (done ? ended() : undefined), ended)]);
        if (next !== undefined) renewal = undefined;
        if (next) {
          stream.reader.cancel().catch(() => {});
          stream = next;
          this.#overlap = overlap;
          continue;
        }
      }
      const { done, value } = await read;
      stream.read = undefined;
      this.#silentSince = Infinity;
      // A subscription to several topics goes on when one is closed.
      if (done) return this.#method !== "GET" || (this.#isHub && last === "close" && !/\*|%2a|topic=.*topic=/i.test(this.#target));
      const { decoder } = stream;
      for (const block of decoder.decode(value)) {
        if (signal.aborted) break;
        if (renewal && block.id) overlap.push(block.id);
        if (this.#isRepeat(block, stream)) continue;
        const reason = this.#deliver(block, stream.origin);
        last = block.type;
        // Without an ID the new stream would begin at its newest event.
        const isDue = Date.now() - this.#renewedAt >= RENEWAL_MS;
        if (reason === "expires" && isDue && this.#renews && stream.isOwn && this.#lastEventId && !signal.aborted) {
          this.#renewedAt = Date.now();
          overlap = [];
          renewal = this.#follower(signal);
        }
      }
      this.#comments ||= decoder.comments;
      if (decoder.retry !== undefined) this.#reconnectionTime = Math.min(Math.max(decoder.retry, LEAST_WAIT_MS), this.#mostWait);
      if (this.#changed) this.topics = this.topics;
      while ([...this.#queues].some((queue) => queue.length)) await this.#change();
    }
  }

  /** Continues with another credential, once the stream has its first bytes. @param {AbortSignal} signal */
  async #follower(signal) {
    try {
      const stream = await this.#open(signal);
      if (stream && !(await (stream.read = stream.reader.read())).done) return stream;
    } catch (error) {
      // The old stream goes on to its end, and then there is an attempt as after any other.
      const { response } = Object(error);
      this.#isRefused ||= response?.status === 401;
      response?.body?.cancel().catch(() => {});
    }
    return null;
  }

  /** Returns nothing if there is nothing to follow any more. @param {AbortSignal} signal @returns {Promise<Stream | undefined>} */
  async #open(signal) {
    const response = await this.#fetch(this.#method, { body: this.#options.body, cache: "no-store", signal });
    const { status, headers, body } = response;
    if (status === 204) return undefined;
    const opens = status === 200 || (response.ok && this.#method !== "GET");
    if (!opens || !body || !Decoder.reads(headers)) throw refused(response);
    const hub = headers.get("Tidings-Hub");
    this.#isHub = !!hub;
    this.#isHolder ||= /^token\b/.test(headers.get("Tidings-Access") ?? "");
    this.#isRefused = false;
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
    const decoder = new Decoder(this.#options.maxEventLength);
    return { reader: body.getReader(), decoder, origin: new URL(url).origin, isOwn: hub !== "shared" };
  }

  /** The URL and headers of an attempt, with its own credential. @returns {Promise<Prepared>} */
  async #prepare() {
    const { headers: given, ticket } = this.#options;
    const lastEventId = this.#lastEventId;
    const attempt = { number: ++this.#attempts, lastEventId, ...(this.#isRefused && { isRefused: true }) };
    if (typeof this.#given === "function") this.#url = parse(await this.#given(attempt));
    const headers = new Headers(typeof given === "function" ? await given(attempt) : given);
    let url = new URL(this.#at || this.#url);
    if (ticket && !this.#at) {
      const minted = await (typeof ticket === "function" ? ticket(attempt) : this.#mint(ticket));
      const { ticket: word, url: at } = typeof minted === "string" ? { ticket: minted, url: "" } : minted;
      if (!word && !at) throw new TypeError("the answer has no ticket");
      if (word) url.searchParams.set("ticket", word);
      else url = new URL(at, url);
    }
    const { protocol, username, password } = url;
    if (username || password || !["http:", "https:", "data:", "blob:", globalThis.location?.protocol].includes(protocol)) {
      const what = username || password ? "credentials in a URL" : protocol;
      throw Object.assign(new TypeError(`fetch refuses ${what}`), { isFinal: true });
    }
    if (this.#isHolder) url.searchParams.set("access", "token");
    if (this.#topics) url.searchParams.set("fields", "topic");
    for (const topic of this.topics) url.searchParams.append("topic", topic);
    if (!headers.has("Accept")) headers.set("Accept", "text/event-stream");
    // UTF-8, each byte as a character.
    const bytes = Array.from(new TextEncoder().encode(lastEventId), (byte) => String.fromCharCode(byte));
    if (lastEventId) headers.set("Last-Event-ID", bytes.join(""));
    return { url: (this.#target = url.href), headers };
  }

  /** Asks the application for a ticket. @param {string | URL} ticket */
  async #mint(ticket) {
    const { fetch = globalThis.fetch } = this.#options;
    const response = await fetch(parse(ticket), { method: "POST", credentials: this.#cookies });
    if (!response.ok) throw refused(response);
    return response.json();
  }

  /** @returns {RequestCredentials} */
  get #cookies() {
    return this.withCredentials ? "include" : "same-origin";
  }

  /** @param {string} method @param {RequestInit} init */
  async #fetch(method, init) {
    const { fetch = globalThis.fetch } = this.#options;
    const { url, headers } = await this.#prepare();
    init.signal?.throwIfAborted();
    if (method === "GET") init.body = undefined;
    else this.#repeatable = headers.has("Idempotency-Key");
    this.#silentSince = Date.now();
    // `tidings-shared.js` may need more than one connection for a stream.
    const prepare = this.#renews ? () => this.#prepare() : undefined;
    return fetch(url, Object.assign(init, { method, headers, credentials: this.#cookies, prepare }));
  }

  /** @param {Block} block @param {Stream} stream */
  #isRepeat({ id, type }, stream) {
    const { dedupe } = this.#options;
    if (!id) return false;
    // Both streams have the order of the hub's log.
    const at = this.#overlap.indexOf(id) + 1;
    this.#overlap.splice(0, at || (type === "gap" ? 0 : Infinity));
    if (at && !this.#overlap.length) this.#lastEventId = id;
    if (at) return true;
    if (!dedupe) return false;
    const brought = this.#seen.get(id);
    // Some servers give one ID to several events.
    if (brought) return brought !== stream;
    this.#seen.set(id, stream);
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
    const { reason, rule, detail } = Object(this.#isHub && type === "access" && json(data));
    if (reason) Object.assign(event, { reason, rule, detail });
    if (!this.#isHub || type !== "start") for (const queue of this.#queues) queue.push(event);
    this.#wake();
    this.dispatchEvent(event);
    return reason;
  }
}

/** @param {string} text */
function json(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
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
  return Object.assign(error, { response, isFinal: status !== 408 && status !== 429 && status < 500, wait });
}
