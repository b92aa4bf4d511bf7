// The hub's counters, fetched once a second for the picture and the list of connections.

import { Connections } from "./connections.js";
import { formatCount, formatRate } from "./count.js";
import { isRefusal, readMetrics } from "./hub.js";
import { Metrics } from "./metrics.js";
import { Figure } from "./picture.js";

export class Counters {
  /** Called with the reason why there are no counters, or with an empty text. */
  onhidden = (reason) => {};

  #published;
  #delivered;
  #subscribers;
  #lag;
  #memory;
  #connections;
  #longestLag;
  /** The counters of a second ago, and the time of that reading. */
  #before;

  constructor(picture, tallies, incidents) {
    const add = (label, format, title) => new Figure(picture, label, format, title);
    this.#published = add("Published", formatRate, "Updates that publishers have sent");
    this.#delivered = add("Delivered", formatRate, "Events handed to all subscribers");
    this.#subscribers = add("Subscribers", formatCount, "Open subscriptions, this page's included");
    const lag = "The longest delay in a second from the publish to this page, by the clocks of both";
    this.#lag = add("Lag", (ms) => `${formatCount(Math.max(0, ms))} ms`, lag);
    this.#memory = add("Memory", (bytes) => `${formatCount(bytes / 2 ** 20)} MiB`, "Resident memory of the hub's process");
    this.#connections = new Connections(tallies, incidents);
  }

  /** Takes the delay of an event, in milliseconds. */
  lag(ms) {
    this.#longestLag = Math.max(this.#longestLag ?? -Infinity, ms);
  }

  async tick() {
    // A hub that cannot be reached, or that refuses its counters, leaves a break in the lines.
    let reason = "";
    const metrics = await readMetrics().then(Metrics.parse, (error) => void (reason = isRefusal(error) ? error.message : ""));
    this.onhidden(reason);
    const now = metrics && { at: performance.now(), metrics };
    const rate = (name) => {
      if (!now || !this.#before) return undefined;
      const more = metrics.value(name) - this.#before.metrics.value(name);
      // A restarted hub counts from 0.
      return Math.max(0, (more * 1000) / (now.at - this.#before.at));
    };
    this.#published.push(rate("tidings_updates_published_total"));
    this.#delivered.push(rate("tidings_events_delivered_total"));
    this.#subscribers.push(metrics?.value("tidings_subscriptions"));
    this.#memory.push(metrics?.value("tidings_resident_memory_bytes"));
    this.#lag.push(this.#longestLag);
    if (metrics) this.#connections.show(metrics);
    this.#before = now;
    this.#longestLag = undefined;
  }

  /** While the page is hidden. */
  pause() {
    this.#before = undefined;
    this.#longestLag = undefined;
  }
}
