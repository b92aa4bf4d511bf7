// The state of the hub's connections, and the reasons why the last ones ended, from the counters of `/metrics`.

import { formatCount } from "./count.js";
import { create } from "./element.js";

const MAX_INCIDENTS = 8;

/** The text for each of the hub's reasons to end a stream. */
export const ENDED = {
  left: "disconnected by the client",
  stalled: "cut: the client did not read",
  closed: "topic closed",
  shutdown: "hub shut down",
  "log-failed": "log not readable",
  "loop-failed": "hub failed",
};
const GAPS = {
  evicted: "gap: updates evicted",
  "unknown-id": "gap: unknown ID",
  "unknown-epoch": "gap: ID of another log",
};

export class Connections {
  #tallies;
  #incidents;
  #before;

  constructor(tallies, incidents) {
    this.#tallies = tallies;
    this.#incidents = incidents;
  }

  /** Takes the hub's current counters. */
  show(metrics) {
    const open = metrics.value("tidings_subscriptions") ?? 0;
    const counts = count(metrics);
    const shown = [["open", open], ...[...counts].filter(([, value]) => value > 0)];
    this.#tallies.replaceChildren(
      ...shown.flatMap(([what, value]) => [create("dt", {}, what), create("dd", {}, formatCount(value))]),
    );
    for (const [what, value] of counts) {
      // The hub itself reports the subscriptions that ended, each with its topics.
      if (Object.values(ENDED).includes(what)) continue;
      // A restarted hub counts from 0.
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

/** The incidents of connections, by their names on this page. */
function count(metrics) {
  const named = (name, words) => [...metrics.byLabel(name)].map(([label, value]) => [words(label), value]);
  return new Map([
    ...named("tidings_subscriptions_ended_total", (reason) => ENDED[reason] ?? reason),
    ...named("tidings_gaps_total", (reason) => GAPS[reason] ?? `gap: ${reason}`),
    ...named("tidings_requests_refused_total", (status) => `${status} errors`),
  ]);
}
