// Keeps the console's tabs from taking all the connections that a browser opens to one origin over HTTP/1.1. With six
// streams open every further request would wait, those for the console itself included, and a new tab would stay blank.

const CONNECTIONS = 6;

/** One is left for what is not a stream. */
const STREAMS = CONNECTIONS - 1;

/** How long the other tabs have to say that they have a stream. */
const ANSWER_MS = 200;

const RETRY_MS = 3000;

export const LIMIT = `Over HTTP/1.1 a browser opens ${CONNECTIONS} connections to one hub, for all its tabs together, and
  ${STREAMS} other tabs have a stream each. Close one of them, and this tab goes on by itself. Under https:// or localhost
  tabs that watch the same share one stream; over HTTP/2 there is no such limit.`.replace(/\s+/g, " ");

/**
 * Who has a stream is asked of the other tabs; those that are frozen have none, and do not answer. A tab that is late to
 * say that it came first is heard too: what was claimed in the meantime is given back.
 */
export class TabLimit {
  #channel = new BroadcastChannel(`tidings console ${location.origin}`);
  #id = crypto.getRandomValues(new Uint32Array(2)).join("-");
  /** What this tab has, or is about to have: who asked first has it. */
  #claim = null;
  /** By their IDs, what the tabs that answered have. */
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

  /** Whether this tab may open a stream for `url`. Calls `onlost` if it may no more. */
  async claim(url, onlost) {
    if (isMultiplexed()) return true;
    // Tabs share where there are Web Locks.
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
    // Of two that have a stream each, the later one gives way.
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

  /** Calls `action` once, when it may be worth to claim again. */
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

/** Over HTTP/2 and HTTP/3 all streams have one connection. */
function isMultiplexed() {
  const [page] = performance.getEntriesByType("navigation");
  return /^h[23]/.test(page?.nextHopProtocol ?? "");
}
