// A list of updates: with a filter, a pause, pretty or raw data, and keys to move through it.

import { create } from "./element.js";
import { toFrame } from "./frame.js";

const MAX_ROWS = 500;

/** The browser would take seconds to lay out longer data. */
const MAX_SHOWN = 20_000;

export class EventList {
  /** The number of updates so far, including hidden ones. */
  count = 0;
  /** Called when `count`, `waiting` or the shown updates change. */
  onchange = () => {};
  /** Called with the update from which to replay. */
  onreplay = (update) => {};

  #list;
  #newestFirst;
  #view = { text: "", topic: null, pretty: true, raw: false };
  #isPaused = false;
  /** The updates in the list, newest last. */
  #rows = [];
  /** Updates to draw next. A burst becomes one change of the page, not one for each event. */
  #waiting = [];
  #isScheduled = false;
  #drawingMs = 0;

  constructor(list, { newestFirst }) {
    this.#list = list;
    this.#newestFirst = newestFirst;
    list.addEventListener("keydown", (event) => this.#walk(event));
  }

  /** Adds an update, or with `note` a notice of the hub. */
  add(update) {
    this.count++;
    if (!this.#isShown(update)) return this.#schedule();
    this.#waiting.push(update);
    // A hidden tab and a paused list draw nothing: keep only the updates that will be shown.
    if (this.#waiting.length > MAX_ROWS) this.#waiting.shift();
    this.#schedule();
  }

  clear() {
    this.count = 0;
    this.#rows = [];
    this.#waiting = [];
    this.#list.replaceChildren();
    this.onchange();
  }

  /** How many updates wait until the list is resumed. */
  get waiting() {
    return this.#isPaused ? this.#waiting.length : 0;
  }

  get isPaused() {
    return this.#isPaused;
  }

  set isPaused(isPaused) {
    this.#isPaused = isPaused;
    this.#schedule();
  }

  /** Sets the filter and the display: any of `text`, `topic`, `pretty`, `raw`. */
  set view(view) {
    Object.assign(this.#view, view);
    const shown = this.#rows.filter((update) => this.#isShown(update)).map((update) => this.#toRow(update));
    this.#list.replaceChildren(...(this.#newestFirst ? shown.reverse() : shown));
    this.onchange();
  }

  get isEmpty() {
    return this.#list.childElementCount === 0;
  }

  #isShown({ topic, type, data, note }) {
    const { text, topic: only } = this.#view;
    if (note) return true;
    return (only === null || topic === only) && (!text || [topic, type, data].some((part) => part.toLowerCase().includes(text)));
  }

  #schedule() {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    // In a flood, drawing takes at most a quarter of the time, and reading has the rest.
    setTimeout(() => requestAnimationFrame(() => this.#draw()), 3 * this.#drawingMs);
  }

  #draw() {
    this.#isScheduled = false;
    const began = performance.now();
    if (!this.#isPaused && this.#waiting.length) {
      // The filter may have changed since they arrived.
      const shown = this.#waiting.filter((update) => this.#isShown(update));
      this.#waiting = [];
      this.#rows = [...this.#rows, ...shown].slice(-MAX_ROWS);
      const rows = shown.map((update) => this.#toRow(update));
      if (this.#newestFirst) this.#list.prepend(...rows.reverse());
      else this.#list.append(...rows);
      while (this.#list.childElementCount > MAX_ROWS) {
        (this.#newestFirst ? this.#list.lastElementChild : this.#list.firstElementChild).remove();
      }
    }
    this.onchange();
    this.#drawingMs = performance.now() - began;
  }

  #toRow(update) {
    const { time, topic, type, id, note } = update;
    const when = create("time", { dateTime: time, title: new Date(time).toLocaleString() }, clock.format(new Date(time)));
    const what = create("span", { className: "topic" }, topic);
    if (type !== "message") what.append(" ", create("span", { className: "type" }, type));
    const row = create("li", { tabIndex: -1, className: note || type === "close" ? "note" : "" }, when, what);
    if (id) {
      const title = "Replay from here (r)";
      const replay = create("button", { type: "button", className: "replay", title, ariaLabel: title, tabIndex: -1 }, "↻");
      replay.onclick = () => this.onreplay(update);
      row.append(replay);
    }
    row.append(create("pre", {}, this.#text(update)));
    return row;
  }

  #text(update) {
    const text = this.#view.raw && !update.note ? toFrame(update) : this.#view.pretty ? pretty(update.data) : update.data;
    if (text.length <= MAX_SHOWN) return text;
    return `${text.slice(0, MAX_SHOWN)}\n… and ${(text.length - MAX_SHOWN).toLocaleString("en")} more characters`;
  }

  #walk(event) {
    const { key, target, ctrlKey, metaKey, altKey } = event;
    if (ctrlKey || metaKey || altKey) return;
    const row = target.closest("li");
    const next = { ArrowDown: row?.nextElementSibling ?? (row ? null : this.#list.firstElementChild), ArrowUp: row?.previousElementSibling };
    if (key === "r" && row) row.querySelector(".replay")?.click();
    else if (next[key]) next[key].focus();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }
}

const clock = new Intl.DateTimeFormat([], {
  hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3, hourCycle: "h23",
});

/** Indented JSON for an object or an array, otherwise the data unchanged. */
function pretty(data) {
  if (!/^\s*[[{]/.test(data) || data.length > MAX_SHOWN) return data;
  try {
    return JSON.stringify(JSON.parse(data), null, 2);
  } catch {
    return data;
  }
}
