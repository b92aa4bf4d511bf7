// The topics that updates have come to, with their rates.

import { formatRate, formatCount } from "./count.js";
import { create } from "./element.js";
import { readSubscribers } from "./hub.js";

/** Of more, those that have been silent for longest are forgotten. */
const MAX_TOPICS = 1000;

/** Of more, the busiest are shown. */
const MAX_SHOWN = 30;

/** How many characters of topics are asked for at a time: URLs have their limits. */
const MAX_ASKED = 2000;

/** How much of a topic's rate is that since the last tick. */
const WEIGHT = 0.4;

export class TopicList {
  /** Hears which topic is to be shown alone, or `null`. */
  onselect = (topic) => {};

  #list;
  /** By name, the latest last. */
  #topics = new Map();
  #selected = null;
  /** By name, as far as they were asked for. */
  #subscribers = new Map();
  #tickedAt = performance.now();

  constructor(list) {
    this.#list = list;
  }

  count(name) {
    const topic = this.#topics.get(name) ?? { name, total: 0, recent: 0, rate: 0 };
    topic.total++;
    topic.recent++;
    // So that the first is the one that has been silent for longest.
    this.#topics.delete(name);
    this.#topics.set(name, topic);
    if (this.#topics.size > MAX_TOPICS) this.#topics.delete(this.#topics.keys().next().value);
  }

  clear() {
    this.#topics.clear();
    this.draw();
  }

  get size() {
    return this.#topics.size;
  }

  get selected() {
    return this.#selected;
  }

  set selected(name) {
    this.#selected = name;
    this.draw();
    this.onselect(name);
  }

  /** To be called about once a second; a hidden tab is slower. */
  tick() {
    const seconds = (performance.now() - this.#tickedAt) / 1000;
    this.#tickedAt = performance.now();
    for (const topic of this.#topics.values()) {
      topic.rate = (WEIGHT * topic.recent) / seconds + (1 - WEIGHT) * topic.rate;
      if (topic.rate < 0.05) topic.rate = 0;
      topic.recent = 0;
    }
    this.draw();
  }

  /** Asks how many follow the topics that are shown. */
  async askForSubscribers() {
    let length = 0;
    const names = [...this.#list.children].map((row) => row.dataset.topic).filter((name) => (length += name.length) < MAX_ASKED);
    // A hub that is away, or does not say, leaves the column empty.
    this.#subscribers = names.length ? await readSubscribers(names).catch(() => new Map()) : new Map();
  }

  draw() {
    const busiest = [...this.#topics.values()].sort((a, b) => b.rate - a.rate || b.total - a.total).slice(0, MAX_SHOWN);
    const shown = busiest.sort((a, b) => (a.name < b.name ? -1 : 1));
    const rows = new Map([...this.#list.children].map((row) => [row.dataset.topic, row]));
    // Rows that stay keep their place in the page, and the focus.
    shown.forEach(({ name, total, rate }, at) => {
      const row = rows.get(name) ?? this.#toRow(name);
      rows.delete(name);
      if (this.#list.children[at] !== row) this.#list.insertBefore(row, this.#list.children[at] ?? null);
      const [button, , subscribersCell, rateCell, totalCell] = [row.firstChild, ...row.firstChild.children];
      const subscribers = this.#subscribers.get(name);
      subscribersCell.textContent = subscribers === undefined ? "" : formatCount(subscribers);
      button.ariaPressed = String(name === this.#selected);
      rateCell.textContent = rate ? formatRate(rate) : "";
      totalCell.textContent = formatCount(total);
    });
    for (const row of rows.values()) row.remove();
  }

  #toRow(name) {
    const cells = ["name", "subscribers", "rate", "total"].map((className) => create("span", { className }));
    cells[0].textContent = name;
    cells[1].title = "Subscribers, this page included";
    const button = create("button", { type: "button", title: `Show ${name} alone` }, ...cells);
    button.onclick = () => (this.selected = this.#selected === name ? null : name);
    const row = create("li", {}, button);
    row.dataset.topic = name;
    return row;
  }
}
