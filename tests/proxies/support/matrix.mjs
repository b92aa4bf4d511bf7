// A server that spoils streams, and the same as the doctor says that it should be.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Hub } from "../../browser/support/hub.mjs";
import { plainApplication } from "./application.mjs";
import { diagnose, explained, rules, startOrigin } from "./doctor.mjs";

/** A hub without an access rule serves its own machine alone, and refuses requests that a proxy passes on. */
const BEHIND_A_PROXY = ["--anonymous", "publish,subscribe"];

/**
 * What stands behind the proxy, the path of a stream there, and the rules that it breaks itself.
 *
 * An application as tutorials have it does not say `no-transform`, and that is all that is wrong with it.
 */
export const BEHIND = {
  /** An application that sends a stream of known timing: what is measured is the proxy. */
  async application(t) {
    return { origin: await plainApplication(t, await startOrigin(t)), path: "/events", own: ["no-transform-missing"] };
  },

  /** The same with a hub behind it, whose stream says nothing for 15 s. */
  async quietApplication(t) {
    const origin = await plainApplication(t, (await Hub.start(t, BEHIND_A_PROXY)).url);
    return { origin, path: "/topics/quiet", own: ["no-transform-missing"] };
  },

  /** A hub as it is. */
  async hub(t) {
    return { origin: (await Hub.start(t, BEHIND_A_PROXY)).url, path: "/topics/quiet", own: [] };
  },
};

/** Promises that a server passes streams on as they are. */
export function passes(name, behind, start) {
  test(`${name}: nothing is wrong`, async (t) => {
    const { origin, path, own } = await behind(t);
    const url = `${await start(t, origin)}${path}`;
    assert.deepEqual(rules(await diagnose(t, url)), own);
  });
}

/**
 * Promises that the doctor finds these rules broken and no other, and none with its own words in the configuration.
 *
 * `start` gets the text of the fix, or nothing for the server that spoils. The text is the one of the finding; where the
 * answer does not say which program spoils it, the one that the doctor has for `program`.
 */
export function spoils(name, broken, program, behind, start) {
  test(`${name}: ${broken.join(", ")}, and nothing with the doctor's text`, async (t) => {
    const { origin, path, own } = await behind(t);
    const report = await diagnose(t, `${await start(t, origin)}${path}`);
    const found = rules(report).filter((rule) => !own.includes(rule));
    assert.deepEqual(found, broken, JSON.stringify(report.findings, null, 1));
    const { fix } = report.findings.find(({ rule }) => rule === broken[0]);
    const text = fix.id === program ? fix.text : await explained(t, program, path);
    const url = `${await start(t, origin, text)}${path}`;
    assert.deepEqual(rules(await diagnose(t, url)), own, text);
  });
}
