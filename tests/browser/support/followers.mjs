// Three clients that follow a topic: each collects the data of its events.

import { createInterface } from "node:readline";

import { run } from "./hub.mjs";

/** A client that has not seen a line after this long has missed one. */
const DEADLINE_MS = 40_000;

/** What one client has seen, which must be the lines of `log`. */
class Follower {
  /** How many lines have been seen. */
  count = 0;

  /** What else it was told, but for `start` and `close`. */
  notes = [];

  #waiting = [];

  constructor(name, log) {
    this.name = name;
    this.log = log;
    /** Rejects at the first line that is not the next one of the log. */
    this.wrong = new Promise((_, reject) => (this.fail = reject));
    this.wrong.catch(() => {});
    /** Resolves at the event `start`. */
    this.started = new Promise((resolve) => (this.start = resolve));
  }

  push(line) {
    const expected = this.log[this.count++];
    if (line !== expected) {
      const shown = (line) => JSON.stringify(line?.slice(0, 100));
      this.fail(new Error(`${this.name}: line ${this.count} is ${shown(line)}, and not ${shown(expected)}`));
    }
    this.#waiting = this.#waiting.filter(({ count, resolve }) => this.count < count || resolve());
  }

  /** Takes an event as a client hands it out. */
  take({ type, data }) {
    if (type === "message") this.push(data);
    else if (type === "start") this.start();
    else if (type !== "close") this.notes.push({ type, data });
  }

  /** Resolves when the first `count` lines have been seen. */
  async reached(count) {
    if (this.count >= count) return;
    let deadline;
    const seen = new Promise((resolve) => {
      this.#waiting.push({ count, resolve });
      deadline = setTimeout(resolve, DEADLINE_MS);
    });
    await Promise.race([seen, this.ended, this.wrong]).finally(() => clearTimeout(deadline));
    if (this.count < count) throw new Error(`${this.name} has seen ${this.count} lines, and ${count} are published`);
  }

  /** Resolves when the client has ended by itself, after the last line of the log. */
  async finished() {
    await Promise.race([this.ended, this.wrong]);
    await this.reached(this.log.length);
  }
}

/** Runs curl again and again, each time with the ID of the last event, until the answer is 204 or the test ends. */
export function followWithCurl(t, log, url) {
  const follower = new Follower("curl", log);
  let over = false;
  t.after(() => (over = true));
  follower.ended = (async () => {
    let lastEventId = "";
    while (!over) {
      const header = lastEventId ? ["--header", `Last-Event-ID: ${lastEventId}`] : [];
      const curl = run(t, "curl", ["-sN", "--write-out", "%{stderr}%{http_code}", ...header, url]);
      let status = "";
      curl.stderr.on("data", (text) => (status += text));
      curl.stdout.setEncoding("utf8");
      let rest = "";
      for await (const text of curl.stdout) {
        const blocks = (rest + text).split("\n\n");
        rest = blocks.pop();
        for (const block of blocks) {
          const event = parse(block);
          lastEventId = event.id ?? lastEventId;
          if (event.data !== undefined) follower.take(event);
        }
      }
      await curl.ended;
      if (status === "204") return;
      if (!["000", "200"].includes(status)) throw new Error(`curl was answered ${status}`);
    }
  })();
  follower.ended.catch(() => {});
  return follower;
}

/** One block of an event stream whose lines end in LF, as a hub's do. */
function parse(block) {
  const event = { type: "message" };
  for (const line of block.split("\n")) {
    const [, name, value] = /^([^:]*)(?:: ?(.*))?$/s.exec(line);
    if (name === "event") event.type = value;
    if (name === "id") event.id = value;
    if (name === "data") event.data = event.data === undefined ? value : `${event.data}\n${value}`;
  }
  return event;
}

/** Opens an EventSource for `path` in a page of `origin`. */
export async function followWithPage(browser, log, origin, path) {
  const follower = new Follower("EventSource", log);
  const page = await browser.newPage();
  await page.goto(`${origin}/healthz`);
  let close;
  follower.ended = new Promise((resolve) => (close = resolve));
  await page.exposeFunction("take", (event) => follower.take(event));
  await page.exposeFunction("ended", () => close());
  await page.evaluate((path) => {
    const source = new EventSource(path);
    for (const type of ["start", "message", "gap", "close"]) {
      source.addEventListener(type, ({ data }) => take({ type, data }));
    }
    source.onerror = () => source.readyState === EventSource.CLOSED && ended();
  }, path);
  return follower;
}

/** Runs `tidings subscribe`. */
export function followWithCommand(hub, log, url, topic) {
  const follower = new Follower("tidings subscribe", log);
  // It takes all that came before a cut, and does not print `start`.
  follower.start();
  const command = hub.command(["subscribe", topic], url);
  command.stdout.setEncoding("utf8");
  let rest = "";
  command.stdout.on("data", (text) => {
    // Not readline: it also breaks lines at U+2028.
    const lines = (rest + text).split("\n");
    rest = lines.pop();
    lines.forEach((line) => follower.push(line));
  });
  const expected = /^tidings: .*(; trying again in|is closed: done)/;
  createInterface({ input: command.stderr }).on("line", (line) => expected.test(line) || follower.notes.push(line));
  follower.ended = command.ended.then(({ code }) => {
    if (code !== 0) throw new Error(`tidings subscribe ended with code ${code}: ${follower.notes.join("\n")}`);
  });
  follower.ended.catch(() => {});
  return follower;
}
