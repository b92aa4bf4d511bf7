// What the hub counts, asked for once a second: the picture, and the connections.

import { Connections } from "./connections.js";
import { formatCount, formatRate } from "./count.js";
import { readMetrics } from "./hub.js";
import { Metrics } from "./metrics.js";
import { Figure } from "./picture.js";

export class Counters {
  #published;
  #delivered;
  #subscribers;
  #lag;
  #memory;
  #connections;
  #longestLag;
  /** The counters of a second ago, and when that was. */
  #before;

  constructor(picture, tallies, incidents) {
    const add = (label, format, title) => new Figure(picture, label, format, title);
    this.#published = add("Published", formatRate, "Updates that publishers have sent");
    this.#delivered = add("Delivered", formatRate, "Events handed to all subscribers");
    this.#subscribers = add("Subscribers", formatCount, "Open subscriptions, this page's included");
    const lag = "The longest time in a second from the publish to this page, by the clocks of both";
    this.#lag = add("Lag", (ms) => `${formatCount(Math.max(0, ms))} ms`, lag);
    this.#memory = add("Memory", (bytes) => `${formatCount(bytes / 2 ** 20)} MiB`, "Resident memory of the hub's process");
    this.#connections = new Connections(tallies, incidents);
  }

  /** Takes how late an event has come, in milliseconds. */
  lag(ms) {
    this.#longestLag = Math.max(this.#longestLag ?? -Infinity, ms);
  }

  async tick() {
    // A hub that is away, or that keeps its counters to itself, leaves a break in the lines.
    const metrics = await readMetrics().then(Metrics.parse, () => undefined);
    const now = metrics && { at: performance.now(), metrics };
    const rate = (name) => {
      if (!now || !this.#before) return undefined;
      const more = metrics.value(name) - this.#before.metrics.value(name);
      // A hub that was started anew counts from 0.
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

  /** For as long as nobody looks. */
  pause() {
    this.#before = undefined;
    this.#longestLag = undefined;
  }
}
