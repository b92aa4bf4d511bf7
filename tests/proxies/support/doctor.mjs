// `tidings doctor`, and the origin that it measures best.

import { once } from "node:events";
import { createInterface } from "node:readline";

import { binary, run } from "../../browser/support/hub.mjs";

/** Starts `tidings doctor origin` on a free port, and resolves with its URL. */
export async function startOrigin(t) {
  const child = run(t, binary, ["doctor", "origin", "--listen", "127.0.0.1:0"]);
  const lines = createInterface({ input: child.stderr });
  const first = await Promise.race([
    once(lines, "line").then(([line]) => line),
    child.ended.then(({ code }) => `it ended with code ${code}`),
  ]);
  lines.on("line", () => {});
  const url = /http:\/\/\S+/.exec(first)?.[0];
  if (!url) throw new Error(`${binary} did not start an origin: ${first}`);
  return url;
}

/** What the doctor reports of a stream, where it trusts the certificates of a file if one is named. */
export async function diagnose(t, url, flags = [], authority = process.env.SSL_CERT_FILE) {
  const env = authority ? { ...process.env, SSL_CERT_FILE: authority } : process.env;
  const child = run(t, binary, ["doctor", url, "--json", ...flags], { env });
  let [report, error] = ["", ""];
  child.stdout.on("data", (data) => (report += data));
  child.stderr.on("data", (data) => (error += data));
  await child.ended;
  if (!report) throw new Error(`the doctor has no report: ${error}`);
  return JSON.parse(report);
}

/** The names of the rules that a stream breaks. */
export function rules(report) {
  return report.findings.map(({ rule }) => rule);
}

/** The text by which the doctor explains what to change in a program, as `--explain` prints it, for a stream at `path`. */
export async function explained(t, name, path) {
  const child = run(t, binary, ["doctor", "--explain", name]);
  let text = "";
  child.stdout.on("data", (data) => (text += data));
  await child.ended;
  return text.replaceAll("/events", path);
}

/**
 * The lines of a fix that are for a configuration: those that are indented, from the first that `begins` matches up to
 * and with the first that `ends` does.
 */
export function lines(text, begins, ends = begins) {
  const all = text.split("\n");
  const first = all.findIndex((line) => /^\s/.test(line) && begins.test(line.trim()));
  const last = all.findIndex((line, index) => index >= first && ends.test(line.replace(/^ {4}/, "")));
  if (first < 0 || last < 0) throw new Error(`no line of the fix matches ${begins} to ${ends}:\n${text}`);
  return all.slice(first, last + 1).join("\n");
}
