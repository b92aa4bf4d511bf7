// Keeps the console's tabs from taking all the connections that a browser opens to one origin over HTTP/1.1. With six
// open streams every further request would wait, also those for the console itself, and a new tab would stay blank.

const CONNECTIONS = 6;

/** One connection is left for other requests. */
const STREAMS = CONNECTIONS - 1;

/** The time in which the other tabs must report their streams. */
const ANSWER_MS = 200;

const RETRY_MS = 3000;

export const LIMIT = `Over HTTP/1.1 a browser opens ${CONNECTIONS} connections to one hub, for all its tabs together, and
  ${STREAMS} other tabs have a stream each. Close one of them, and this tab goes on by itself. Under https:// or localhost
  tabs that watch the same share one stream; over HTTP/2 there is no such limit.`.replace(/\s+/g, " ");

/**
 * Asks the other tabs which of them have a stream. Frozen tabs have none, and do not answer. A tab that was first but
 * answers late still wins: a stream that was opened in the meantime is closed again.
 */
export class TabLimit {
  #channel = new BroadcastChannel(`tidings console ${location.origin}`);
  #id = crypto.getRandomValues(new Uint32Array(2)).join("-");
  /** The stream of this tab, or the one that it requests. The tab that asked first gets it. */
  #claim = null;
  /** The streams of the tabs that answered, by their IDs. */
  #others = new Map();
  #freed = () => {};
  #lost = () => {};

  constructor() {
    this.#channel.onmessage = ({ data: { claim, to, answer, left } }) => {
      const own = this.#claim;
      if (claim && own && (own.held || isBefore(own, claim))) this.#channel.postMessage({ to: claim.id, answer: { ...own } });
      if (to === this.#id && own) this.#hear(answer);
      if (left) {
        this.#others.delete(left);
        this.#freed();
      }
    };
    addEventListener("pagehide", () => this.release());
  }

  /** Whether this tab may open a stream for `url`. Calls `onlost` when it must close the stream. */
  async claim(url, onlost) {
    if (isMultiplexed()) return true;
    // With Web Locks, tabs share one connection.
    const stream = navigator.locks ? url : this.#id;
    const claim = (this.#claim = { id: this.#id, at: Date.now(), stream, held: false });
    this.#others.clear();
    this.#lost = onlost;
    this.#channel.postMessage({ claim });
    await new Promise((resolve) => setTimeout(resolve, ANSWER_MS));
    if (this.#claim !== claim) return false;
    claim.held = this.#isRoom();
    if (!claim.held) this.#claim = null;
    return claim.held;
  }

  #hear(answer) {
    const late = this.#claim.held;
    // If two tabs have a stream each, the later one gives it up.
    if (late && !isBefore(answer, this.#claim)) return;
    this.#others.set(answer.id, answer.stream);
    if (!late || this.#isRoom()) return;
    this.release();
    this.#lost();
  }

  #isRoom() {
    const streams = new Set(this.#others.values());
    return streams.has(this.#claim.stream) || streams.size < STREAMS;
  }

  /** Calls `action` once, when a new claim may succeed. */
  whenFree(action) {
    const timer = setTimeout(() => this.#freed(), RETRY_MS);
    this.#freed = () => {
      clearTimeout(timer);
      this.#freed = () => {};
      action();
    };
  }

  release() {
    if (this.#claim) this.#channel.postMessage({ left: this.#id });
    this.#claim = null;
  }
}

const isBefore = (one, other) => one.at < other.at || (one.at === other.at && one.id < other.id);

/** Over HTTP/2 and HTTP/3 all streams share one connection. */
function isMultiplexed() {
  const [page] = performance.getEntriesByType("navigation");
  return /^h[23]/.test(page?.nextHopProtocol ?? "");
}
