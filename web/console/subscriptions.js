// Lists the subscriptions with the largest lag, and those that ended last, as the hub reports them.

import { ENDED } from "./connections.js";
import { formatAge, formatCount } from "./count.js";
import { create } from "./element.js";
import { isRefusal, readFurthestBehind } from "./hub.js";

export class Subscriptions {
  /** Called with the reason why there are no subscriptions, or with an empty text. */
  onhidden = (reason) => {};

  #behind;
  #ended;
  #isOnScreen = false;

  constructor(behind, ended) {
    this.#behind = behind;
    this.#ended = ended;
    // A hidden element has no place on the page, so its visible parent is watched.
    new IntersectionObserver((changes) => (this.#isOnScreen = changes.at(-1).isIntersecting)).observe(behind.parentElement);
  }

  /** Asks the hub, if the list is visible. Call it at most once a second. */
  async tick() {
    if (!this.#isOnScreen) return;
    let reason = "";
    const { behind, ended } = await readFurthestBehind().catch((error) => {
      reason = isRefusal(error) ? error.message : "";
      return { behind: [], ended: [] };
    });
    this.onhidden(reason);
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

/** The topics of a subscription, as far as the hub names them. */
function follows(topics, more) {
  const isAll = topics.includes("*");
  return [create("span", { className: "name" }, isAll ? "everything" : topics.join(", ")), more && !isAll ? ` and ${more} more` : ""];
}
