// Measures Tidings beside its peers and the bound:
//   node bench/compare/run.mjs [--smoke] [--rounds 3] [--servers bound,tidings,…] [--scenarios 'part of a title']
// Each server in turn, interleaved, on core 0; `tidings bench` on core 1. Writes bench/results.md,
// unless --smoke asks for a short run that only shows that everything works.
//
// It installs nginx with nchan from Debian (which may start an nginx of its own on port 80: stop that), better-sse from npm
// and the axum program from Cargo, these two below bench/compare.
import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { cpus, release } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, "../..");
const target = process.env.CARGO_TARGET_DIR ?? join(root, "target");
const tidings = join(target, "release/tidings");

const { values: flags } = parseArgs({
  options: {
    smoke: { type: "boolean", default: false },
    rounds: { type: "string", default: "3" },
    servers: { type: "string" },
    scenarios: { type: "string" },
  },
});
const SERVER_CORE = "0", LOAD_CORE = "1";

function run(command, args, options = {}) {
  return execFileSync(command, args, { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"], ...options });
}

// --- The servers ------------------------------------------------------------------------------------------------------

/** Installs a Debian package that has `file`. */
function debian(packageName, file) {
  if (existsSync(file)) return;
  const sudo = process.getuid() === 0 ? [] : ["sudo"];
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  for (const args of [["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", packageName]]) {
    const [command, ...rest] = [...sudo, "apt-get", ...args];
    run(command, rest, { env });
  }
}

const version = (packageName) => run("apt-cache", ["policy", packageName]).match(/Candidate: (.*)/)[1];

/**
 * How each server is installed and started. `start` gives back a command line that listens on `port`; one that `streams` takes
 * NDJSON, one that `resumes` has a history.
 */
const SERVERS = {
  bound: {
    version: () => "`tidings bench server`",
    start: (port) => [tidings, "bench", "server", "--listen", `127.0.0.1:${port}`],
    streams: true,
    resumes: true,
  },
  tidings: {
    version: () => `Tidings ${run("git", ["-C", root, "describe", "--always", "--dirty"]).trim()}, history in memory`,
    start: (port) => [tidings, "serve", "--memory", "--listen", `127.0.0.1:${port}`],
    streams: true,
    resumes: true,
  },
  nchan: {
    module: "/usr/lib/nginx/modules/ngx_nchan_module.so",
    install() { debian("libnginx-mod-nchan", this.module); },
    version: () => `nchan ${version("libnginx-mod-nchan")} in nginx ${version("nginx")}`,
    start(port) {
      const directory = join(here, ".nginx");
      mkdirSync(directory, { recursive: true });
      const conf = readFileSync(join(here, "nchan.conf"), "utf8")
        .replaceAll("MODULE", this.module).replaceAll("DIRECTORY", directory).replaceAll("PORT", port);
      writeFileSync(join(directory, "nginx.conf"), conf);
      return ["/usr/sbin/nginx", "-e", join(directory, "error.log"), "-p", directory, "-c", join(directory, "nginx.conf")];
    },
    flags: (url) => ["--publish-url", `${url}/publish/{topic}`],
    resumes: true,
  },
  axum: {
    install: () => run("cargo", ["build", "--release", "--quiet", "--locked"], {
      cwd: join(here, "axum"), env: { ...process.env, CARGO_TARGET_DIR: join(here, "axum/target") },
    }),
    version: () => readFileSync(join(here, "axum/Cargo.lock"), "utf8").match(/name = "axum"\nversion = "(.*)"/)[1]
      .replace(/^/, "axum ") + ", `Sse` over a broadcast channel",
    start: (port) => [join(here, "axum/target/release/axum-broadcast"), port],
  },
  "better-sse": {
    install: () => run("npm", ["ci", "--no-audit", "--no-fund", "--silent"], { cwd: here }),
    version: () => `better-sse ${JSON.parse(readFileSync(join(here, "package.json"))).dependencies["better-sse"]}, node ${process.version}`,
    start: (port) => ["node", join(here, "better-sse.mjs"), port],
  },
};

/** A process and all its children: nginx works in one. */
function family(id) {
  const children = readFileSync(`/proc/${id}/task/${id}/children`, "utf8").trim();
  return [id, ...(children ? children.split(" ").flatMap((child) => family(Number(child))) : [])];
}

async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return String(port);
}

async function listens(port, child) {
  for (let attempts = 0; attempts < 200; attempts++) {
    if (child.exitCode !== null) throw new Error(`it ended with ${child.exitCode}: ${child.said}`);
    const socket = connect(Number(port), "127.0.0.1");
    const connected = await new Promise((resolve) => socket.once("connect", () => resolve(true)).once("error", () => resolve(false)));
    socket.destroy();
    if (connected) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error("it does not listen after 10 s");
}

/** Starts a server for one measurement, and ends it behind that. */
async function withServer(name, measure) {
  const port = await freePort();
  const child = spawn("taskset", ["-c", SERVER_CORE, ...SERVERS[name].start(port)], { stdio: ["ignore", "ignore", "pipe"] });
  child.said = "";
  child.stderr.on("data", (data) => (child.said = (child.said + data).slice(-2000)));
  const ended = new Promise((resolve) => child.once("exit", resolve));
  try {
    await listens(port, child);
    return measure(`http://127.0.0.1:${port}`, family(child.pid));
  } finally {
    child.kill("SIGTERM");
    const killed = setTimeout(() => child.kill("SIGKILL"), 3000);
    await ended;
    clearTimeout(killed);
  }
}

// --- The scenarios ----------------------------------------------------------------------------------------------------

const few = (full, smoke) => String(flags.smoke ? smoke : full);

/** `figure` is what counts; `streams` are the flags for servers that are published to with NDJSON. */
const SCENARIOS = {
  "single events, 1,000 subscribers": {
    args: ["fanout", "-n", few(1000, 200), "--events", few(1000, 50)], figure: "cpu_us_per_delivery",
  },
  "single events, 15,000 subscribers": {
    args: ["fanout", "-n", few(15000, 1000), "--events", few(100, 20)], figure: "cpu_us_per_delivery",
  },
  "bursts of 100, 1,000 subscribers": {
    args: ["fanout", "-n", few(1000, 200), "--events", few(10000, 1000), "--burst", "100"], figure: "cpu_us_per_delivery",
    streams: ["--publish-as", "ndjson"],
  },
  "5,000 topics with 1 subscriber": {
    args: ["fanout", "-n", few(5000, 200), "--topics", few(5000, 200), "--events", few(100, 10)], figure: "cpu_us_per_delivery",
  },
  "100 events/s, 1,000 subscribers: p50": {
    args: ["fanout", "-n", few(1000, 200), "--events", few(1000, 50), "--rate", "100"], figure: "latency_p50_us",
  },
  "idle, 15,000 subscribers": {
    args: ["idle", "-n", few(15000, 1000), "--hold", few("2s", "200ms")], figure: "user_bytes_per_connection",
  },
  "500 clients resume, 1,000 events each": {
    args: ["replay", "-n", few(500, 50), "--events", few(1000, 100)], figure: "cpu_us_per_delivery", resumes: true,
  },
  "50 clients come and go beside 1,000: p99": {
    args: ["churn", "-n", few(1000, 100), "--events", few(1000, 50)], figure: "beside_p99_us",
  },
  "publishing, pipelined": {
    args: ["publish", "--ways", "pipelined", "--events", few(200000, 5000)], figure: "pipelined_cpu_us",
  },
};

function bench(name, url, ids, scenario) {
  const server = SERVERS[name];
  const where = server.flags ? ["--subscribe-url", `${url}/topics/{topic}`, ...server.flags(url)] :
    ["--subscribe-url", `${url}/topics/{topic}`, "--publish-url", `${url}/topics/{topic}`];
  const args = ["-c", LOAD_CORE, tidings, "bench", ...scenario.args, ...(server.streams ? scenario.streams ?? [] : []),
    ...where, "--server-pid", ids.join(","), "--rounds", "1", "--json"];
  try {
    return JSON.parse(run("taskset", args)).server;
  } catch (error) {
    // A server that loses events fails the run, and its figures are on standard output all the same.
    const said = String(error.stdout ?? "").trim();
    if (!said) return { failed: 1 };
    return JSON.parse(said).server;
  }
}

function median(values) {
  const sorted = values.filter((value) => value !== undefined).sort((a, b) => a - b);
  if (sorted.length === 0) return undefined;
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

const chosen = flags.servers?.split(",") ?? Object.keys(SERVERS);
const scenarios = Object.entries(SCENARIOS).filter(([name]) => !flags.scenarios || name.includes(flags.scenarios));
const rounds = Number(flags.rounds);

run("cargo", ["build", "--release", "--quiet", "-p", "tidings"], { cwd: root });
for (const name of chosen) SERVERS[name].install?.();

const rows = [];
for (const [title, scenario] of scenarios) {
  const found = Object.fromEntries(chosen.map((name) => [name, []]));
  for (let round = 1; round <= rounds; round++) {
    for (const name of chosen) {
      if (scenario.resumes && !SERVERS[name].resumes) continue;
      process.stderr.write(`${title}: round ${round} of ${rounds}, ${name}\n`);
      found[name].push(await withServer(name, (url, ids) => bench(name, url, ids, scenario)));
    }
  }
  const value = (name) => median(found[name].map((figures) => figures[scenario.figure]));
  const cells = chosen.map((name) => {
    const faults = ["lost", "duplicated", "reordered", "disconnected", "failed"]
      .map((fault) => [fault, found[name].reduce((sum, figures) => sum + (figures[fault] ?? 0), 0)])
      .filter(([, count]) => count > 0).map(([fault, count]) => `${count} ${fault}`);
    const [own, bound] = [value(name), found.bound && value("bound")];
    const ratio = own !== undefined && bound ? `${(own / bound).toFixed(2)} (${own.toPrecision(3)})` : own?.toPrecision(3) ?? "–";
    return [ratio, ...faults].join("; ");
  });
  rows.push(`| ${title} | ${scenario.figure.replaceAll("_", " ")} | ${cells.join(" | ")} |`);
}

const command = ["node bench/compare/run.mjs", ...process.argv.slice(2)].join(" ");
const results = `# Tidings beside its peers

Written by \`${command}\` on ${new Date().toISOString().slice(0, 10)}.${flags.smoke ? `

**A smoke run: it shows that everything works. Its figures say nothing about speed.**` : ""}

Each figure is the ratio to the bound, a server that does nothing but write the same bytes, and in parentheses the figure itself:
medians of ${rounds}, every server in turn. Servers on core ${SERVER_CORE}, load on core ${LOAD_CORE}, over loopback, 200 bytes of
data, CPU time in microseconds of the server's processes, publishing included. Compare within this table only.

| Scenario | Figure | ${chosen.join(" | ")} |
|---|---|${chosen.map(() => "--:|").join("")}
${rows.join("\n")}

${chosen.map((name) => `- ${name}: ${SERVERS[name].version()}`).join("\n")}
- machine: ${cpus()[0].model}, ${cpus().length} cores, Linux ${release()}, ${run("rustc", ["--version"]).trim()}
`;
if (!flags.smoke) writeFileSync(join(root, "bench/results.md"), results);
process.stdout.write(results);
