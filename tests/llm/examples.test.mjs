// The programs of examples/gateway: each loses its connection in the middle of an answer, and has all of it in the end.

import assert from "node:assert/strict";
import { after, test } from "node:test";

import { root } from "../browser/support/hub.mjs";
import { startGateway } from "./support/gateway.mjs";
import { Model, questions } from "./support/model.mjs";
import { output, python } from "./support/sdks.mjs";

const bounded = { timeout: 120_000 };
const model = await Model.start({ after });
const expected = await model.answer(questions.long);
const examples = `${root}examples/gateway/`;

example("openai_python.py", python, (url) => [[questions.long], { OPENAI_BASE_URL: `${url}/v1`, OPENAI_API_KEY: "any" }]);
example("openai_node.mjs", "node", (url) => [[questions.long], { OPENAI_BASE_URL: `${url}/v1`, OPENAI_API_KEY: "any" }]);
example("fetch_event_source.mjs", "node", (url) => [[url, questions.long], {}]);

function example(name, program, how) {
  test(`${name} goes on where it was, and the model is asked once`, bounded, async (t) => {
    const gateway = await startGateway(t, model);
    const { calls } = await model.counts();
    const [args, env] = how(gateway.url);
    const { stdout, stderr } = await output(t, program, [`${examples}${name}`, ...args], env);
    assert.equal(stdout.trimEnd(), expected.trimEnd());
    assert.match(stderr, /the connection is lost/);
    assert.equal((await model.counts()).calls - calls, 1);
  });
}
