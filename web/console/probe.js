// The hub's stream of known timing, as it arrives in this browser: docs/doctor.md.

import { Decoder } from "../tidings.js";
import { base } from "./hub.js";
import { credential } from "./token.js";

/** The parameters of the request. Times are in milliseconds. */
export const KNOBS = { events: 20, every: 100, idle: 2000, heartbeat: 500 };

/** The times of the last event and of the end of the stream. */
export const LAST_MS = KNOBS.events * KNOBS.every;
export const OVER_MS = LAST_MS + KNOBS.idle;

/** The time limits for the head of the response, and for the end beyond its due time. */
export const HEAD_MS = 6000;
const LATE_MS = 8000;

/** The arrivals of one stream. Times are in milliseconds since the request. */
export class Arrival {
  #began = performance.now();
  /** The time of the first byte of the response, if there was one. */
  head;
  /** The response to `fetch`. An EventSource does not show one. */
  response;
  /** The name of the stream, given by the hub. */
  stream;
  /** `{number, sent, arrived}`; `sent` is by the clock of the hub. */
  events = [];
  /** The difference between the clocks of the hub and of this page, from the fastest event. */
  offset = Infinity;
  /** The times of comments that arrived alone, and whether any arrived with events. Only `fetch` sees them. */
  heartbeats = [];
  joinedHeartbeats = false;
  /** The time of the stream's announced end, and the time when the connection broke without it. */
  end;
  cut;
  /** Whether the stream was silent for too long. */
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
    // The first event is sent at once.
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

/** Calls `stop` when the stream is silent for too long. Returns a function that ends the watch. */
function watch(arrival, stop) {
  const giveUp = () => {
    arrival.silent = true;
    stop();
  };
  const head = setTimeout(() => arrival.head === undefined && giveUp(), HEAD_MS);
  const over = setTimeout(giveUp, OVER_MS + LATE_MS);
  return () => [head, over].forEach(clearTimeout);
}

/** Reads the stream with `fetch`, which also sees the head and the comments. */
export async function probeWithFetch(onarrival) {
  const arrival = new Arrival("fetch");
  const connection = new AbortController();
  const unwatch = watch(arrival, () => connection.abort());
  try {
    const headers = { Accept: "text/event-stream", ...credential() };
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
