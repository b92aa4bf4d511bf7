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

/** Who has a stream is asked of the other tabs; those that are frozen have none, and do not answer. */
export class TabLimit {
  #channel = new BroadcastChannel(`tidings console ${location.origin}`);
  #id = crypto.getRandomValues(new Uint32Array(2)).join("-");
  /** What this tab has, or is about to have: who asked first has it. */
  #claim = null;
  #answers = [];
  #freed = () => {};

  constructor() {
    this.#channel.onmessage = ({ data: { claim, to, stream, left } }) => {
      if (claim && this.#claim && (this.#claim.held || isBefore(this.#claim, claim))) {
        this.#channel.postMessage({ to: claim.id, stream: this.#claim.stream });
      }
      if (to === this.#id) this.#answers.push(stream);
      if (left) this.#freed();
    };
    addEventListener("pagehide", () => this.release());
  }

  /** Whether this tab may open a stream for `url`. */
  async claim(url) {
    if (isMultiplexed()) return true;
    // Tabs share where there are Web Locks.
    const stream = navigator.locks ? url : this.#id;
    const claim = (this.#claim = { id: this.#id, at: Date.now(), stream, held: false });
    this.#answers = [];
    this.#channel.postMessage({ claim });
    await new Promise((resolve) => setTimeout(resolve, ANSWER_MS));
    if (this.#claim !== claim) return false;
    const others = new Set(this.#answers);
    claim.held = others.has(stream) || others.size < STREAMS;
    if (!claim.held) this.#claim = null;
    return claim.held;
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
    if (this.#claim) this.#channel.postMessage({ left: true });
    this.#claim = null;
  }
}

const isBefore = (one, other) => one.at < other.at || (one.at === other.at && one.id < other.id);

/** Over HTTP/2 and HTTP/3 all streams have one connection. */
function isMultiplexed() {
  const [page] = performance.getEntriesByType("navigation");
  return /^h[23]/.test(page?.nextHopProtocol ?? "");
}
