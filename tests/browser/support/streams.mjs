// The streams that the codec is tested with.

import { readFile, readdir } from "node:fs/promises";
import { fileURLToPath } from "node:url";

const DIRECTORY = fileURLToPath(new URL("../../../crates/tidings-codec/tests/streams/", import.meta.url));

/** What each stream is made of, and what the standard makes of it, by name. */
export async function readStreams() {
  const files = (await readdir(DIRECTORY)).filter((file) => file.endsWith(".sse")).sort();
  const streams = new Map();
  for (const file of files) {
    const path = `${DIRECTORY}${file}`;
    const expected = JSON.parse(await readFile(path.replace(/sse$/, "json"), "utf8"));
    streams.set(file.replace(/\.sse$/, ""), { bytes: await readFile(path), ...expected });
  }
  return streams;
}
