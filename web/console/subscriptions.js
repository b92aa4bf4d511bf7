// The subscriptions that are furthest behind, and those that ended last, as the hub tells of them.

import { ENDED } from "./connections.js";
import { formatAge, formatCount } from "./count.js";
import { create } from "./element.js";
import { readFurthestBehind } from "./hub.js";

export class Subscriptions {
  #behind;
  #ended;
  #isOnScreen = false;
  #isRefused = false;

  constructor(behind, ended) {
    this.#behind = behind;
    this.#ended = ended;
    // What is hidden is nowhere, so the part of the page that it belongs to is watched.
    new IntersectionObserver((changes) => (this.#isOnScreen = changes.at(-1).isIntersecting)).observe(behind.parentElement);
  }

  /** Asks the hub, if this is seen. To be called at most once a second. */
  async tick() {
    if (!this.#isOnScreen || this.#isRefused) return;
    const { behind, ended } = await readFurthestBehind().catch((error) => {
      // Who may not know will not be told the next time, and each refusal is counted. A hub that is away may come back.
      this.#isRefused = error.status !== undefined;
      return { behind: [], ended: [] };
    });
    this.#behind.hidden = behind.length === 0;
    this.#behind.querySelector("tbody").replaceChildren(...behind.map(toRow));
    this.#ended.hidden = ended.length === 0;
    this.#ended.querySelector("ul").replaceChildren(...ended.map(toItem));
  }
}

function toRow({ topics, more, behind, stalled, age, protocol }) {
  const cell = (className, ...content) => create("td", { className }, ...content);
  const isStalled = stalled !== undefined;
  const way = protocol ?? "in the hub's process";
  const how = create("span", { className: isStalled ? "how late" : "how" }, isStalled ? `${way}, not reading for ${formatAge(stalled)}` : way);
  return create(
    "tr",
    {},
    cell("", ...follows(topics, more), behind > 0 || isStalled ? how : ""),
    cell(behind > 0 ? "late" : "", formatCount(behind)),
    cell("", formatAge(age)),
  );
}

function toItem({ topics, more, reason, time, behind, age }) {
  const at = create("time", { dateTime: time }, new Date(time).toLocaleTimeString("en-GB"));
  const how = `${ENDED[reason] ?? reason}; open for ${formatAge(age)}${behind > 0 ? `, ${formatCount(behind)} behind` : ""}`;
  return create("li", {}, at, ...follows(topics, more), create("span", { className: "how" }, how));
}

/** What a subscription follows, as far as the hub says it. */
function follows(topics, more) {
  const isAll = topics.includes("*");
  return [create("span", { className: "name" }, isAll ? "everything" : topics.join(", ")), more && !isAll ? ` and ${more} more` : ""];
}
