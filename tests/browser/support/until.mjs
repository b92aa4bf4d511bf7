// Waiting for a state.

import { setTimeout } from "node:timers/promises";

/** Resolves when `condition` holds, and fails after so many seconds. */
export async function until(condition, seconds = 10) {
  const deadline = Date.now() + 1000 * seconds;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`it never came to hold: ${condition}`);
    await setTimeout(5);
  }
}
