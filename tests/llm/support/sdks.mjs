// The official SDKs, as tests/llm/install.sh has installed them.

import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

import { root, run } from "../../browser/support/hub.mjs";

const require = createRequire(`${root}examples/gateway/package.json`);

/** A module of the examples' packages. */
export const load = (name) => import(pathToFileURL(require.resolve(name)).href);

/** Python with OpenAI's and Anthropic's SDK. */
export const python = `${root}tests/llm/.venv/bin/python`;

/** Runs a program to its end, which must be a good one, and resolves to what it printed: `{stdout, stderr}`. */
export async function output(t, program, args, env = {}) {
  const child = run(t, program, args, { env: { ...process.env, ...env } });
  const printed = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"]) {
    child[name].setEncoding("utf8");
    child[name].on("data", (text) => (printed[name] += text));
  }
  const { code } = await child.ended;
  if (code !== 0) throw new Error(`${program} ${args.join(" ")} ended with code ${code}: ${printed.stderr}`);
  return printed;
}
