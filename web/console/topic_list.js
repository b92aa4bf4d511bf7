// The topics of the updates so far, with their rates.

import { formatRate, formatCount } from "./count.js";
import { create } from "./element.js";
import { readSubscribers } from "./hub.js";

/** The maximum number of topics. Beyond it, those with the longest silence are forgotten. */
const MAX_TOPICS = 1000;

/** The number of topics shown: the busiest ones. */
const MAX_SHOWN = 30;

/** The number of characters of topics in one request, because URLs have limits. */
const MAX_ASKED = 2000;

/** The weight of the last tick in a topic's rate. */
const WEIGHT = 0.4;

export class TopicList {
  /** Called with the only topic to show, or `null`. */
  onselect = (topic) => {};

  #list;
  /** By name. The topic with the latest update is last. */
  #topics = new Map();
  #selected = null;
  /** By name, for the topics about which the hub was asked. */
  #subscribers = new Map();
  #tickedAt = performance.now();

  constructor(list) {
    this.#list = list;
  }

  count(name) {
    const topic = this.#topics.get(name) ?? { name, total: 0, recent: 0, rate: 0 };
    topic.total++;
    topic.recent++;
    // Moves the topic to the end, so that the first one has the longest silence.
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

  /** Call it about once a second. A hidden tab is slower. */
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

  /** Asks for the number of subscribers of the shown topics. */
  async askForSubscribers() {
    let length = 0;
    const names = [...this.#list.children].map((row) => row.dataset.topic).filter((name) => (length += name.length) < MAX_ASKED);
    // If the hub cannot be reached or refuses, the column stays empty.
    this.#subscribers = names.length ? await readSubscribers(names).catch(() => new Map()) : new Map();
  }

  draw() {
    const busiest = [...this.#topics.values()].sort((a, b) => b.rate - a.rate || b.total - a.total).slice(0, MAX_SHOWN);
    const shown = busiest.sort((a, b) => (a.name < b.name ? -1 : 1));
    const rows = new Map([...this.#list.children].map((row) => [row.dataset.topic, row]));
    // Rows that stay keep their place on the page, and the focus.
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
