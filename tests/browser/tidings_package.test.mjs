// What is packed for npm, and what pages load: size, types, and names.

import assert from "node:assert/strict";
import { copyFile, mkdir, mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { gzipSync } from "node:zlib";

import { root, run } from "./support/hub.mjs";

const bounded = { timeout: 60_000 };
const web = `${root}web/`;
const tsc = `${root}tests/browser/node_modules/.bin/tsc`;

for (const [module, limit] of Object.entries({ "tidings.js": 7350, "tidings-shared.js": 8800 })) {
  test(`${module} has less than ${limit} bytes, compressed`, async (t) => {
    const { length } = gzipSync(await readFile(web + module), { level: 9 });
    t.diagnostic(`${length} bytes`);
    assert.ok(length < limit, `${length} bytes`);
  });
}

test("the types hold, and the declarations are what they come to (else: npm run types in web/)", bounded, async (t) => {
  const made = await newFolder(t);
  const files = await readdir(web);
  // Without the declarations, which would be read in place of the modules.
  for (const file of files.filter((file) => /^[^.]+\.(js|json)$/.test(file))) await copyFile(web + file, join(made, file));
  await succeeds(t, tsc, ["-p", made]);
  const kept = files.filter((file) => file.endsWith(".d.ts"));
  assert.deepEqual((await readdir(made)).filter((file) => file.endsWith(".d.ts")).sort(), kept.sort());
  for (const file of kept) assert.equal(await readFile(join(made, file), "utf8"), await readFile(web + file, "utf8"), file);
});

test("the package is found by its name, in Node.js and by TypeScript", bounded, async (t) => {
  const folder = await newFolder(t);
  const packed = JSON.parse(await succeeds(t, "npm", ["pack", "--json", "--pack-destination", folder], { cwd: web }));
  const files = packed[0].files.map(({ path }) => path).sort();
  const modules = ["interface", "tidings", "tidings-shared"].flatMap((name) => [`${name}.js`, `${name}.d.ts`]);
  const licences = ["LICENSE-APACHE", "LICENSE-MIT"];
  assert.deepEqual(files, [...modules, ...licences, "README.md", "package.json"].sort());
  for (const file of licences) assert.equal(await readFile(web + file, "utf8"), await readFile(root + file, "utf8"), file);
  const installed = join(folder, "node_modules", "tidings");
  await mkdir(installed, { recursive: true });
  await succeeds(t, "tar", ["-xzf", join(folder, packed[0].filename), "-C", installed, "--strip-components=1"]);

  const names = `import * as a from "tidings"; import * as b from "tidings/shared"; console.log(Object.keys({ ...a, ...b }).sort().join())`;
  assert.equal(await succeeds(t, "node", ["--input-type=module", "-e", names], { cwd: folder }), "Decoder,EventSource,SharedEventSource,share\n");

  const use = `
    import { EventSource } from "tidings";
    import { SharedEventSource } from "tidings/shared";
    import type { Options } from "tidings/interface";
    new EventSource(async () => "/topics/a", { ticket: "/ticket" }).onaccess = ({ reason, detail }) => reason + detail?.trim();
    const options: Options = { headers: async ({ number }) => ({ Authorization: \`Bearer \${number}\` }), topics: ["a"] };
    const source: EventSource = new SharedEventSource("/topics", options);
    source.onerror = ({ retryIn }) => retryIn?.toFixed();
    source.addEventListener("price", (event: MessageEvent<string>) => event.data.trim());
    const dropIn: Pick<globalThis.EventSource, "readyState" | "url" | "close" | "withCredentials"> = source;
    for await (const { type, data, topics } of source) console.log(type.trim(), data.trim(), topics.join(), dropIn.url);
    // @ts-expect-error: there is no such option.
    new EventSource("/", { heders: {} });`;
  await writeFile(join(folder, "use.mts"), use);
  const flags = ["--noEmit", "--strict", "--target", "es2022", "--module", "nodenext", "--lib", "es2023,dom", "--types", ""];
  await succeeds(t, tsc, [...flags, "use.mts"], { cwd: folder });
});

async function newFolder(t) {
  const folder = await mkdtemp(join(tmpdir(), "tidings-"));
  t.after(() => rm(folder, { recursive: true }));
  return folder;
}

/** Runs a program that has to succeed, and resolves to its standard output. */
async function succeeds(t, program, args, options) {
  const child = run(t, program, args, options);
  const output = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"]) child[name].on("data", (text) => (output[name] += text));
  const { code } = await child.ended;
  assert.equal(code, 0, output.stdout + output.stderr);
  return output.stdout;
}
