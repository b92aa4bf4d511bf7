// Chromium over its own DevTools protocol, where playwright stands in the way: that keeps every page visible, which the
// browser then refuses to freeze, and does not see a page come out of the back/forward cache.

import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { args, executablePath } from "./chromium.mjs";

export class BareChromium {
  #input;
  #commands = 0;
  /** What waits for an answer, by the number of its command. */
  #pending = new Map();

  /** Starts Chromium with a profile of its own. The end of the test `t` ends it. */
  static async start(t) {
    const profile = await mkdtemp(join(tmpdir(), "tidings-"));
    const flags = ["--headless=new", "--no-sandbox", "--remote-debugging-pipe", `--user-data-dir=${profile}`];
    const child = spawn(executablePath, [...args, ...flags, "about:blank"], { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"] });
    const ended = new Promise((resolve) => child.once("close", resolve));
    t.after(async () => {
      child.kill("SIGKILL");
      await ended;
      // Its helpers may write for a moment longer.
      await rm(profile, { recursive: true, maxRetries: 10 });
    });
    return new BareChromium(child.stdio[3], child.stdio[4]);
  }

  constructor(input, output) {
    this.#input = input;
    // What is written to a browser that is gone is of no interest.
    input.on("error", () => {});
    output.setEncoding("utf8");
    let rest = "";
    output.on("data", (text) => {
      const whole = (rest + text).split("\0");
      rest = whole.pop();
      whole.map((said) => JSON.parse(said)).forEach((said) => this.#take(said));
    });
  }

  #take({ id, result, error }) {
    const { resolve, reject } = this.#pending.get(id) ?? {};
    this.#pending.delete(id);
    if (error) reject?.(new Error(error.message));
    else resolve?.(result);
  }

  /** Sends a command, to a page if its session is given, and resolves to the result. */
  send(method, params = {}, sessionId = undefined) {
    const id = ++this.#commands;
    this.#input.write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
    return new Promise((resolve, reject) => this.#pending.set(id, { resolve, reject }));
  }

  /** Opens a tab, which hides the one before it. */
  async newPage(url) {
    const { targetId } = await this.send("Target.createTarget", { url });
    const { sessionId } = await this.send("Target.attachToTarget", { targetId, flatten: true });
    return new BarePage(this, targetId, sessionId);
  }
}

/** A tab, with as much of playwright's interface as the tests need. */
export class BarePage {
  #chromium;
  #target;
  #session;

  constructor(chromium, target, session) {
    this.#chromium = chromium;
    this.#target = target;
    this.#session = session;
  }

  send(method, params) {
    return this.#chromium.send(method, params, this.#session);
  }

  /** Calls `what` in the page, and resolves to what comes of it. */
  async evaluate(what, argument) {
    const expression = `(${what})(${JSON.stringify(argument)})`;
    const { result, exceptionDetails } = await this.send("Runtime.evaluate", {
      expression,
      awaitPromise: true,
      returnByValue: true,
    });
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value;
  }

  /** Shows this tab, and hides the one that was shown. */
  show() {
    return this.#chromium.send("Target.activateTarget", { targetId: this.#target });
  }

  /** `frozen`, as the browser does with tabs that are hidden for long, or `active`. */
  setLifecycleState(state) {
    return this.send("Page.setWebLifecycleState", { state });
  }

  goto(url) {
    return this.send("Page.navigate", { url });
  }

  async goBack() {
    const { currentIndex, entries } = await this.send("Page.getNavigationHistory");
    await this.send("Page.navigateToHistoryEntry", { entryId: entries[currentIndex - 1].id });
  }
}
