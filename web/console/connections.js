// How the hub's connections are, and why the last ones ended: what `/metrics` counts, in words.

import { formatCount } from "./count.js";
import { create } from "./element.js";

const MAX_INCIDENTS = 8;

/** By the hub's reason, why a stream ended. */
export const ENDED = {
  left: "hung up",
  stalled: "cut, did not read",
  closed: "topic closed",
  shutdown: "hub shut down",
  "log-failed": "log not readable",
  "loop-failed": "hub failed",
};
const GAPS = {
  evicted: "told of a gap: evicted",
  "unknown-id": "told of a gap: unknown ID",
  "unknown-epoch": "told of a gap: another log",
};

export class Connections {
  #tallies;
  #incidents;
  #before;

  constructor(tallies, incidents) {
    this.#tallies = tallies;
    this.#incidents = incidents;
  }

  /** Takes what the hub says now. */
  show(metrics) {
    const open = metrics.value("tidings_subscriptions") ?? 0;
    const counts = count(metrics);
    const shown = [["open", open], ...[...counts].filter(([, value]) => value > 0)];
    this.#tallies.replaceChildren(
      ...shown.flatMap(([what, value]) => [create("dt", {}, what), create("dd", {}, formatCount(value))]),
    );
    for (const [what, value] of counts) {
      // The hub tells itself of those who ended, and of each what it followed.
      if (Object.values(ENDED).includes(what)) continue;
      // A hub that was started anew counts from 0.
      const more = this.#before ? value - (this.#before.get(what) ?? 0) : 0;
      if (more > 0) this.#tell(what, more);
    }
    this.#before = counts;
  }

  #tell(what, times) {
    const now = new Date();
    const time = create("time", { dateTime: now.toISOString() }, now.toLocaleTimeString("en-GB"));
    this.#incidents.prepend(create("li", {}, time, " ", times > 1 ? `${formatCount(times)} × ${what}` : what));
    while (this.#incidents.childElementCount > MAX_INCIDENTS) this.#incidents.lastElementChild.remove();
  }
}

/** Everything that happened to connections, by what it is called here. */
function count(metrics) {
  const named = (name, words) => [...metrics.byLabel(name)].map(([label, value]) => [words(label), value]);
  return new Map([
    ...named("tidings_subscriptions_ended_total", (reason) => ENDED[reason] ?? reason),
    ...named("tidings_gaps_total", (reason) => GAPS[reason] ?? `told of a gap: ${reason}`),
    ...named("tidings_requests_refused_total", (status) => `refused with ${status}`),
  ]);
}
