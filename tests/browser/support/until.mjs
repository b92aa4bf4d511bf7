// Waiting for a state.

import { setTimeout } from "node:timers/promises";

/** Resolves when `condition` holds, and fails after ten seconds. */
export async function until(condition) {
  const deadline = Date.now() + 10_000;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`it never came to hold: ${condition}`);
    await setTimeout(5);
  }
}
