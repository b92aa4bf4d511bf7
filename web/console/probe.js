// The hub's stream of known timing, as it arrives in this browser: docs/doctor.md.

import { Decoder } from "../tidings.js";
import { base } from "./hub.js";

/** What is asked for. Times are in milliseconds. */
export const KNOBS = { events: 20, every: 100, idle: 2000, heartbeat: 500 };

/** When the last event is sent, and when the stream is over. */
export const LAST_MS = KNOBS.events * KNOBS.every;
export const OVER_MS = LAST_MS + KNOBS.idle;

/** How long a head may take, and how much later than it should the end may come. */
export const HEAD_MS = 6000;
const LATE_MS = 8000;

/** What arrived of one stream, and when, in milliseconds since it was asked for. */
export class Arrival {
  #began = performance.now();
  /** When the answer began, if it did. */
  head;
  /** The answer to `fetch`; an EventSource shows none. */
  response;
  /** The stream's own name. */
  stream;
  /** `{number, sent, arrived}`, `sent` by the clock of the hub. */
  events = [];
  /** The hub's clock and this page's differ by at most this, by what took the shortest time. */
  offset = Infinity;
  /** When comments came with nothing else, and whether any came with something else. Only `fetch` sees them. */
  heartbeats = [];
  joinedHeartbeats = false;
  /** When the end came that the stream announces, and when the connection was gone without it. */
  end;
  cut;
  /** Whether it was given up. */
  silent = false;

  constructor(way) {
    this.way = way;
  }

  get now() {
    return performance.now() - this.#began;
  }

  take(type, data) {
    const arrived = this.now;
    const said = JSON.parse(data);
    // The first one is sent at once.
    const sent = (said.sent_us ?? 0) / 1000;
    this.offset = Math.min(this.offset, arrived - sent);
    if (type === "start") this.stream = said.stream;
    else if (type === "end") this.end = arrived;
    else this.events.push({ number: said.n, sent, arrived });
  }
}

const target = () => {
  const url = new URL("probe", base);
  for (const [name, value] of Object.entries(KNOBS)) url.searchParams.set(name, value);
  return url;
};

/** Gives up what is silent. Calls `stop` then, and returns what ends the watching. */
function watch(arrival, stop) {
  const giveUp = () => {
    arrival.silent = true;
    stop();
  };
  const head = setTimeout(() => arrival.head === undefined && giveUp(), HEAD_MS);
  const over = setTimeout(giveUp, OVER_MS + LATE_MS);
  return () => [head, over].forEach(clearTimeout);
}

/** Reads the stream with `fetch`, which sees the head and the comments too. */
export async function probeWithFetch(onarrival) {
  const arrival = new Arrival("fetch");
  const connection = new AbortController();
  const unwatch = watch(arrival, () => connection.abort());
  try {
    const headers = { Accept: "text/event-stream" };
    const response = await fetch(target(), { headers, cache: "no-store", signal: connection.signal });
    arrival.head = arrival.now;
    arrival.response = response;
    if (response.headers.has("Tidings-Probe") && response.ok) await read(response.body.getReader(), arrival, onarrival);
  } catch (error) {
    if (!arrival.silent) arrival.error = error.message;
  }
  if (arrival.end === undefined) arrival.cut = arrival.now;
  unwatch();
  connection.abort();
  return arrival;
}

async function read(reader, arrival, onarrival) {
  const decoder = new Decoder();
  while (arrival.end === undefined) {
    const { done, value } = await reader.read();
    if (done) return;
    decoder.comments = false;
    const blocks = decoder.decode(value).filter(({ data }) => data !== undefined);
    for (const { type, data } of blocks) arrival.take(type, data);
    if (decoder.comments && arrival.events.length === KNOBS.events) {
      if (blocks.length) arrival.joinedHeartbeats = true;
      else arrival.heartbeats.push(arrival.now);
    }
    onarrival(arrival);
  }
}

/** Reads the stream with the browser's own EventSource. */
export async function probeWithEventSource(onarrival) {
  const arrival = new Arrival("EventSource");
  const source = new EventSource(target());
  await new Promise((resolve) => {
    const unwatch = watch(arrival, resolve);
    const stop = () => resolve(unwatch());
    source.onopen = () => (arrival.head = arrival.now);
    source.onerror = stop;
    for (const type of ["start", "message", "end"]) {
      source.addEventListener(type, ({ data }) => {
        arrival.take(type, data);
        onarrival(arrival);
        if (arrival.end !== undefined) stop();
      });
    }
  });
  source.close();
  if (arrival.end === undefined) arrival.cut = arrival.now;
  return arrival;
}
