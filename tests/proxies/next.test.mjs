// What Next.js, which compresses by default, does to streams, and what the doctor says about it.

import assert from "node:assert/strict";
import { cp, mkdtemp, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe } from "node:test";
import { fileURLToPath } from "node:url";

import { run } from "../browser/support/hub.mjs";
import { lines } from "./support/doctor.mjs";
import { BEHIND, spoils } from "./support/matrix.mjs";
import { freePort, serve } from "./support/program.mjs";

const HERE = fileURLToPath(new URL(".", import.meta.url));
const NEXT = `${HERE}node_modules/next/dist/bin/next`;

describe("Next.js", () => {
  spoils("its default", ["buffered-compressed"], "next", applicationInNext, async (t, origin, text) => {
    const application = built.get(t);
    const configuration = text ? lines(text, /^module\.exports/) : "module.exports = {};";
    await writeFile(join(application, "next.config.js"), configuration);
    const port = await freePort();
    const env = { ...process.env, NEXT_TELEMETRY_DISABLED: "1", ORIGIN: origin };
    return serve(t, process.execPath, [NEXT, "start", application, "-H", "127.0.0.1", "-p", `${port}`], port, { env });
  });
});

/** Applications that are built, by the test that built them: building takes long, and does not read what is mended. */
const built = new WeakMap();

async function applicationInNext(t) {
  built.set(t, await build(t));
  return { ...(await BEHIND.application(t)), path: "/api/events" };
}

/** Builds the application in a folder of its own, and gives its path. */
async function build(t) {
  // Beside node_modules, where it looks for Next.js.
  const application = await mkdtemp(`${HERE}next_app/built-`);
  t.after(() => rm(application, { recursive: true, force: true, maxRetries: 10 }));
  await cp(`${HERE}next_app/pages`, `${application}/pages`, { recursive: true });
  // The configuration is a CommonJS file, as the doctor writes it.
  await writeFile(join(application, "package.json"), "{}");
  const env = { ...process.env, NEXT_TELEMETRY_DISABLED: "1" };
  const child = run(t, process.execPath, [NEXT, "build", "--webpack", application], { env, detached: true });
  let said = "";
  for (const output of [child.stdout, child.stderr]) output.on("data", (data) => (said += data));
  const { code } = await child.ended;
  assert.equal(code, 0, said);
  return application;
}
