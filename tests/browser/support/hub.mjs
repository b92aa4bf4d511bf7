// The `tidings` binary: a hub on a free port, and the commands that talk to it.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { resolve } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

/** The project's root folder, with a slash at its end. */
export const root = fileURLToPath(new URL("../../../", import.meta.url));

/** The `tidings` that is tested. */
export const binary = resolve(process.env.TIDINGS_BIN ?? `${root}target/debug/tidings`);

/** Starts `program`; the end of the test `t` kills it, and its group if it is `detached`, if it still runs. */
export function run(t, program, args, options = {}) {
  const child = spawn(program, args, { stdio: ["pipe", "pipe", "pipe"], ...options });
  child.ended = new Promise((resolve, reject) => {
    child.once("error", (error) => reject(new Error(`${program} can't be started: ${error.message}`)));
    child.once("close", (code, signal) => resolve({ code, signal }));
  });
  child.ended.catch(() => {});
  // A command that ends early breaks the pipe to it; how it ended says more.
  child.stdin.on("error", () => {});
  t.after(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    process.kill(options.detached ? -child.pid : child.pid, "SIGKILL");
    await child.ended;
  });
  return child;
}

/** A hub in a process of its own. */
export class Hub {
  /** Starts a hub on a free port, or on `port`, in memory without `--data`, and resolves when it listens. */
  static async start(t, flags = [], port = 0) {
    const history = flags.includes("--data") ? [] : ["--memory"];
    const child = run(t, binary, ["serve", "--listen", `127.0.0.1:${port}`, ...history, ...flags]);
    const lines = createInterface({ input: child.stderr });
    const first = await Promise.race([
      once(lines, "line").then(([line]) => line),
      child.ended.then(({ code }) => `it ended with code ${code}`),
    ]);
    lines.on("line", () => {});
    const url = /^Tidings listens on (https?:\S+)$/.exec(first)?.[1];
    if (!url) throw new Error(`${binary} did not start a hub: ${first}`);
    return new Hub(t, child, url);
  }

  constructor(t, child, url) {
    this.t = t;
    this.child = child;
    this.url = url;
    this.port = Number(new URL(url).port);
  }

  /** Starts `tidings publish` or `tidings subscribe` with this hub's URL, or with that of a proxy before it. */
  command(args, url = this.url) {
    return run(this.t, binary, [...args, "--hub", url]);
  }

  /** Publishes one update over HTTP. */
  async publish(topic, data, query = "") {
    const response = await fetch(`${this.url}/topics/${topic}${query}`, { method: "POST", body: data });
    if (!response.ok) throw new Error(`${response.status}: ${await response.text()}`);
  }

  /** The updates of a topic that the hub keeps, oldest first. */
  async history(topic) {
    const headers = { Accept: "application/json" };
    const all = [];
    for (let page = { next: "start", more: true }; page.more; ) {
      const from = encodeURIComponent(page.next);
      const response = await fetch(`${this.url}/topics/${topic}?from=${from}&limit=1000`, { headers });
      page = await response.json();
      all.push(...page.updates);
    }
    return all;
  }

  /** Ends the hub as Ctrl-C does. */
  async stop() {
    this.child.kill("SIGINT");
    await this.child.ended;
  }
}
