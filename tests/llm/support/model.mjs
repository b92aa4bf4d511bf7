// The model of the tests, in a process of its own.

import { once } from "node:events";
import { createInterface } from "node:readline";

import { root, run } from "../../browser/support/hub.mjs";

/** What the model asks for of those who call it. A gateway has it from this environment variable. */
export const KEY = "the-key-of-the-tests";
export const KEY_VARIABLE = "TIDINGS_TEST_UPSTREAM_KEY";
process.env[KEY_VARIABLE] = KEY;

export { questions } from "../../model/questions.mjs";

/** A provider of a language model: tests/model/server.mjs. */
export class Model {
  /** Starts it; the end of the test `t` ends it. */
  static async start(t) {
    const child = run(t, "node", [`${root}tests/model/server.mjs`, KEY], { stdio: ["pipe", "pipe", "inherit"] });
    const ended = child.ended.then(({ code }) => [`it ended with code ${code}`]);
    const [url] = await Promise.race([once(createInterface({ input: child.stdout }), "line"), ended]);
    if (!url.startsWith("http:")) throw new Error(`no model: ${url}`);
    return new Model(url);
  }

  constructor(url) {
    this.url = url;
  }

  /** How many answers were asked for, `calls`, and how many are being generated, `running`. */
  async counts() {
    return (await fetch(`${this.url}/calls`)).json();
  }

  /** The whole answer to a question, which is always the same. */
  async answer(question) {
    const response = await fetch(`${this.url}/v1/chat/completions`, {
      method: "POST",
      headers: { Authorization: `Bearer ${KEY}` },
      body: JSON.stringify({ messages: [{ role: "user", content: question }] }),
    });
    return (await response.json()).choices[0].message.content;
  }
}
