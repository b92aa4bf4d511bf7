// Measures Tidings beside its peers and the bound:
//   node bench/compare/run.mjs [--smoke] [--rounds 3] [--servers bound,tidings,…] [--scenarios 'part of a title']
// Each server in turn, interleaved, on core 0; `tidings bench` on core 1. Writes bench/results.md anew after each scenario,
// so that a run that is cut off keeps what it has; --smoke writes nothing, and only shows that everything works.
// TIDINGS_BEFORE names another build of Tidings, which is measured as the server `before`.
//
// It installs nchan and Pushpin from Debian, better-sse from npm and the axum program from Cargo, these two below bench/compare.
import { readFileSync, writeFileSync } from "node:fs";
import { cpus, release } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { benchArguments, SCENARIOS } from "./scenarios.mjs";
import { LOAD_CORE, root, run, SERVER_CORE, SERVERS, tidings, withServer } from "./servers.mjs";

const { values: flags } = parseArgs({
  options: {
    smoke: { type: "boolean", default: false },
    rounds: { type: "string" },
    servers: { type: "string" },
    scenarios: { type: "string" },
  },
});
const rounds = Number(flags.rounds ?? (flags.smoke ? 1 : 3));
const chosen = flags.servers?.split(",") ?? Object.keys(SERVERS);
const scenarios = Object.entries(SCENARIOS).filter(([title]) => !flags.scenarios || title.includes(flags.scenarios));
const began = Date.now();
const minutes = () => `${((Date.now() - began) / 60_000).toFixed(1)} min`;

/** One run may take so long; a server that does not get on must not keep the others waiting. */
const LONGEST_RUN_MS = 300_000;

/** Connections that the kernel has dropped because no program accepted them, on the whole machine. */
function droppedSyns() {
  const [names, values] = readFileSync("/proc/net/netstat", "utf8").split("\n").map((line) => line.split(" "));
  return Number(values[names.indexOf("ListenDrops")]);
}

/** Measures a server that `withServer` has started; its figures. */
function bench(args) {
  const before = droppedSyns();
  const options = { timeout: LONGEST_RUN_MS, killSignal: "SIGTERM", stdio: ["ignore", "pipe", "pipe"] };
  let said;
  try {
    said = run("taskset", ["-c", LOAD_CORE, tidings, "bench", ...args], options);
  } catch (error) {
    // A server that loses events fails the run, and its figures are on standard output all the same.
    said = String(error.stdout ?? "").trim();
    process.stderr.write(`  ${String(error.stderr ?? error).trim()}\n`);
    if (!said) return { failed: 1 };
  }
  return { ...JSON.parse(said).server, dropped_syns: droppedSyns() - before };
}

async function measure(name, scenario) {
  try {
    return await withServer(name, (urls) => bench(benchArguments(scenario, SERVERS[name], urls, flags.smoke)));
  } catch (error) {
    process.stderr.write(`  ${error.message}\n`);
    return { failed: 1 };
  }
}

// --- What is told -----------------------------------------------------------------------------------------------------

const FAULTS = ["lost", "duplicated", "reordered", "disconnected", "failed"];

function median(values) {
  const sorted = values.filter((value) => value !== undefined).sort((a, b) => a - b);
  if (sorted.length === 0) return undefined;
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

function readable(value) {
  return value >= 100 ? Math.round(value).toLocaleString("en") : String(Number(value.toPrecision(3)));
}

/** The faults of many runs, summed up. */
function faults(runs) {
  const sums = FAULTS.map((fault) => [fault, runs.reduce((sum, figures) => sum + (figures[fault] ?? 0), 0)]);
  return sums.filter(([, sum]) => sum > 0).map(([fault, sum]) => `${sum.toLocaleString("en")} ${fault}`);
}

/** The rows of a scenario, one for each figure, of the runs of each server. */
function rowsOf(title, scenario, found) {
  return Object.entries(scenario.figures).map(([figure, words], place) => {
    const value = (name) => median((found[name] ?? []).map((figures) => figures[figure]));
    const cells = chosen.map((name) => {
      const [own, bound] = [value(name), value("bound")];
      const ratio = own !== undefined && bound > 0 && name !== "bound" ? `**${(own / bound).toFixed(2)}** ` : "";
      const cell = own === undefined ? "–" : `${ratio}${ratio ? `(${readable(own)})` : readable(own)}`;
      return [cell, ...(place === 0 ? faults(found[name]) : [])].join("; ");
    });
    return `| ${title} | ${words} | ${cells.join(" | ")} |`;
  });
}

function results(rows, all, done) {
  const state = done === scenarios.length ? `It took ${minutes()}.` :
    `**It is not complete: ${done} of ${scenarios.length} scenarios after ${minutes()}.**`;
  const slow = chosen.filter((name) => SERVERS[name].share).map((name) => `${name} ${SERVERS[name].share * 100} %`);
  return `# Tidings beside its peers

Written by \`${["node bench/compare/run.mjs", ...process.argv.slice(2)].join(" ")}\` on ${new Date().toISOString().slice(0, 10)}. ${state}${flags.smoke ? `

**A smoke run: it shows that everything works. Its figures say nothing about speed.**` : ""}

In bold the ratio to the bound, a server that does nothing but write the same bytes, and in parentheses the figure itself:
medians of ${rounds}, every server in turn. Servers on core ${SERVER_CORE}, load on core ${LOAD_CORE}, over loopback, 200 bytes of
data if not told otherwise, CPU time of the server's processes, publishing included. Compare within this table only. "–" is
what a server can't do: it has no history, no HTTP/2 without TLS, or takes one update a request. A burst comes to the
bound and Tidings as NDJSON, to the others as pipelined requests. The bound speaks HTTP/1.1: a stream that shares a connection
is compared with a connection.${slow.length > 0 ? ` So that slow servers end in time, some get fewer events where their number is free:
${slow.join(", ")}.` : ""}

| Scenario | Figure | ${chosen.join(" | ")} |
|---|---|${chosen.map(() => "--:|").join("")}
${rows.join("\n")}
| all of these | lost, duplicated, reordered, cut off | ${chosen.map((name) => faults(all[name]).join("; ") || "none").join(" | ")} |

${versions.join("\n")}
- machine: ${cpus()[0].model}, ${cpus().length} cores, Linux ${release()}, ${run("rustc", ["--version"]).trim()}
`;
}

// --- The run ----------------------------------------------------------------------------------------------------------

run("cargo", ["build", "--release", "--quiet", "-p", "tidings"], { cwd: root });
for (const name of chosen) SERVERS[name].install?.();
// Before there are results, with which the checkout is no longer what is measured.
const versions = chosen.map((name) => `- ${name}: ${SERVERS[name].version()}`);

const rows = [];
const all = Object.fromEntries(chosen.map((name) => [name, []]));
for (const [place, [title, scenario]] of scenarios.entries()) {
  const found = Object.fromEntries(chosen.map((name) => [name, []]));
  const able = chosen.filter((name) => benchArguments(scenario, SERVERS[name], { ids: [] }, flags.smoke));
  for (let round = 1; round <= rounds; round++) {
    for (const name of able) {
      process.stderr.write(`${minutes()}: ${title}: round ${round} of ${rounds}, ${name}\n`);
      found[name].push(await measure(name, scenario));
    }
  }
  for (const name of chosen) all[name].push(...found[name]);
  rows.push(...rowsOf(title, scenario, found));
  if (!flags.smoke) writeFileSync(join(root, "bench/results.md"), results(rows, all, place + 1));
}
process.stdout.write(results(rows, all, scenarios.length));
if (Object.values(all).flat().some((figures) => figures.failed)) process.exitCode = 1;
