// The console's only stream: it follows the watched topics over a connection that all tabs share if they can.

import { SharedEventSource } from "../tidings-shared.js";
import { detail, isRefusal, topicsUrl } from "./hub.js";
import { LIMIT, TabLimit } from "./tab_limit.js";
import { credential, token } from "./token.js";

const tabs = new TabLimit();

const TAB = crypto.getRandomValues(new Uint32Array(2)).join("-");

/** Tabs share a stream only without tokens, because those may be of different people. */
const own = () => (token() ? TAB : "");

export class Watch {
  /** Called with each update, as it is in the hub's envelope. */
  onupdate = (update) => {};
  /** Called with the reason when updates are missing. */
  ongap = (reason) => {};
  /** Called with the reason when the hub refuses for good, for want of another token. */
  onrefused = (reason) => {};
  /** Called with the state of the connection, in words, and the next step if there is no connection. */
  onstate = (state, text, advice) => {};

  topics = [];
  /** Resolves when the stream has begun, or cannot begin now. Earlier updates would not be seen. */
  begun = Promise.resolve();
  #begin = () => {};
  #source = null;
  /** The ID of the newest update. */
  #last;
  /** Distinguishes one `start` from the next, while the other tabs are asked. */
  #turn;

  /** Watches `topics` from now on, or after the update `after`. */
  async start(topics, after) {
    this.stop();
    this.topics = topics;
    this.#last = undefined;
    // In this envelope every event has the type `message`, and holds the update's own type.
    const url = topicsUrl(topics, { envelope: "message", ...(after && { from: after }) });
    this.onstate("connecting", "connecting …");
    this.begun = new Promise((resolve) => (this.#begin = resolve));
    const turn = (this.#turn = Symbol());
    const wait = () => {
      if (this.#turn !== turn) return;
      this.#source?.close();
      this.#source = null;
      this.#tell("limited", "waiting for another tab", LIMIT);
      tabs.whenFree(() => this.#turn === turn && this.start(topics, this.#last ?? after));
    };
    if (!(await tabs.claim(url.href + own(), wait))) wait();
    else if (this.#turn === turn) this.#open(url, topics);
  }

  #open(url, topics) {
    const source = (this.#source = new SharedEventSource(url, { headers: credential(), group: own() }));
    const name = topics.includes("*") ? "everything" : topics.join(", ");
    source.onopen = () => this.#tell("open", `watching ${name}`);
    source.onerror = async ({ error, response }) => {
      if (source.readyState === source.CONNECTING) return this.#tell("connecting", "connection lost, reconnecting …");
      tabs.release();
      const why = !error ? "the topic is closed" : response ? await detail(response) : error.message;
      if (this.#source !== source) return;
      this.#tell(error ? "failed" : "closed", `ended: ${why}`);
      if (response && isRefusal(response)) this.onrefused(why);
    };
    source.onmessage = ({ data }) => {
      const update = JSON.parse(data);
      this.#last = update.id;
      this.onupdate(update);
    };
    source.addEventListener("start", ({ data }) => {
      if (JSON.parse(data).access === "partial") this.#tell("open", `watching what you may read of ${name}`);
    });
    source.addEventListener("gap", ({ data }) => this.ongap(JSON.parse(data).reason));
  }

  #tell(state, text, advice) {
    this.#begin();
    this.onstate(state, text, advice);
  }

  stop() {
    this.#begin();
    this.#turn = undefined;
    this.#source?.close();
    this.#source = null;
    tabs.release();
  }
}
