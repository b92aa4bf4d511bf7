// What run.mjs compares: how each server is installed, started on a core of its own, and ended.
import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
export const root = join(here, "../..");
export const tidings = join(process.env.CARGO_TARGET_DIR ?? join(root, "target"), "release/tidings");
export const SERVER_CORE = "0", LOAD_CORE = "1";

export function run(command, args, options = {}) {
  return execFileSync(command, args, { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"], ...options });
}

/** Installs a Debian package that has `file`, without the service that Debian would start. */
function debian(packageName, file) {
  if (existsSync(file)) return;
  const policy = "/usr/sbin/policy-rc.d";
  const script = `apt-get update -qq
    [ -e ${policy} ] || { trap 'rm ${policy}' EXIT; printf '#!/bin/sh\\nexit 101\\n' >${policy}; chmod 755 ${policy}; }
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends ${packageName}`;
  const [command, ...rest] = [...(process.getuid() === 0 ? [] : ["sudo"]), "sh", "-ec", script];
  run(command, rest);
}

const version = (packageName) => run("dpkg-query", ["-W", "-f", "${Version}", packageName]);

/** The folder of a server that wants files, anew for every start. */
function folder(name) {
  const path = join(here, ".run", name);
  rmSync(path, { recursive: true, force: true });
  mkdirSync(path, { recursive: true });
  return path;
}

/** Writes a configuration made of the template `file`, with `values` for its words in capitals. */
function configure(file, path, values) {
  const text = readFileSync(join(here, file), "utf8");
  writeFileSync(path, text.replaceAll(new RegExp(Object.keys(values).join("|"), "g"), (word) => values[word]));
}

/**
 * `start` gives back a command line that listens on `ports.http`; `beside` one that runs beside it, on the core of the load.
 * `http2` names the port of HTTP/2 with prior knowledge, `publish` where one POSTs to, if not where one subscribes. A server
 * that `streams` takes NDJSON, one that `resumes` has a history. `share` of the events is enough of a slow one; `connecting`
 * is how many may connect at once.
 */
export const SERVERS = {
  bound: {
    version: () => "`tidings bench server`",
    start: ({ http }) => [tidings, "bench", "server", "--listen", `127.0.0.1:${http}`],
    http2: "http",
    isBound: true,
    streams: true,
    resumes: true,
  },
  tidings: {
    version: () => `Tidings ${run("git", ["-C", root, "describe", "--always", "--dirty"]).trim()}, history in memory`,
    start: ({ http }) => [tidings, "serve", "--memory", "--listen", `127.0.0.1:${http}`],
    http2: "http",
    streams: true,
    resumes: true,
  },
  // Another build of Tidings, for a comparison in turn of two versions.
  ...(process.env.TIDINGS_BEFORE && {
    before: {
      version: () => `${run(process.env.TIDINGS_BEFORE, ["--version"]).trim()}, the file TIDINGS_BEFORE`,
      start: ({ http }) => [process.env.TIDINGS_BEFORE, "serve", "--memory", "--listen", `127.0.0.1:${http}`],
      http2: "http",
      streams: true,
      resumes: true,
    },
  }),
  nchan: {
    module: "/usr/lib/nginx/modules/ngx_nchan_module.so",
    install() { debian("libnginx-mod-nchan", this.module); },
    version: () => `nchan ${version("libnginx-mod-nchan")} in nginx ${version("nginx")}`,
    start(ports) {
      const directory = folder("nginx"), conf = join(directory, "nginx.conf");
      configure("nchan.conf", conf,
        { MODULE: this.module, DIRECTORY: directory, HTTP1_PORT: ports.http, HTTP2_PORT: ports.second });
      return ["/usr/sbin/nginx", "-e", join(directory, "error.log"), "-p", directory, "-c", conf];
    },
    http2: "second",
    publish: (ports) => `http://127.0.0.1:${ports.http}/publish/{topic}`,
    resumes: true,
    share: 0.1,
  },
  pushpin: {
    install: () => debian("pushpin", "/usr/bin/pushpin"),
    version: () => `Pushpin ${version("pushpin")}, condure ${version("condure")} and zurl ${version("zurl")}, their CPU and ` +
      "memory together. The origin that it asks for each subscription, and that hands it what is published, with what came " +
      "meanwhile in one request (its control port takes one for each connection), is node's on the core of the load, and not counted",
    start(ports) {
      const directory = folder("pushpin"), conf = join(directory, "pushpin.conf");
      configure("pushpin.conf", conf, { DIRECTORY: directory, HTTP_PORT: ports.http, CONTROL_PORT: ports.second });
      writeFileSync(join(directory, "routes"), `* 127.0.0.1:${ports.beside}\n`);
      return ["/usr/bin/pushpin", `--config=${conf}`];
    },
    beside: (ports) => ["node", join(here, "pushpin_origin.mjs"), ports.beside, ports.second],
    publish: (ports) => `http://127.0.0.1:${ports.beside}/topics/{topic}`,
    share: 0.1,
    // It answers with 502 when more than a hundred wait for the origin.
    connecting: 64,
    // Milliseconds. It ends some of the streams that begin in its first moments, though it answers.
    settles: 1500,
  },
  axum: {
    install: () => run("cargo", ["build", "--release", "--quiet", "--locked"], {
      cwd: join(here, "axum"), env: { ...process.env, CARGO_TARGET_DIR: join(here, "axum/target") },
    }),
    version: () => readFileSync(join(here, "axum/Cargo.lock"), "utf8").match(/name = "axum"\nversion = "(.*)"/)[1]
      .replace(/^/, "axum ") + ", `Sse` over a broadcast channel",
    start: ({ http }) => [join(here, "axum/target/release/axum-broadcast"), http],
    http2: "http",
    share: 0.5,
  },
  "better-sse": {
    install: () => run("npm", ["ci", "--no-audit", "--no-fund", "--silent"], { cwd: here }),
    version: () => `better-sse ${JSON.parse(readFileSync(join(here, "package.json"))).dependencies["better-sse"]}, node ${process.version}`,
    start: ({ http, second }) => ["node", join(here, "better-sse.mjs"), http, second],
    http2: "second",
    share: 0.04,
  },
};

/** A process and all its children: nginx works in one, Pushpin in four. */
function family(id) {
  const children = readFileSync(`/proc/${id}/task/${id}/children`, "utf8").trim();
  return [id, ...(children ? children.split(" ").flatMap((child) => family(Number(child))) : [])];
}

/** Ports that are free. All are held before any is given back, so that they differ. */
async function freePorts(names) {
  const servers = names.map(() => createServer().listen(0, "127.0.0.1"));
  await Promise.all(servers.map((server) => new Promise((resolve) => server.once("listening", resolve))));
  const ports = Object.fromEntries(names.map((name, place) => [name, String(servers[place].address().port)]));
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

/** Asks again until a stream begins: who listens may not yet have all its parts. */
async function answers(port, child) {
  const request = `GET /topics/ready HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nAccept: text/event-stream\r\n\r\n`;
  for (let attempts = 0; attempts < 100; attempts++) {
    if (child.exitCode !== null) throw new Error(`it ended with ${child.exitCode}: ${child.said}`);
    const socket = connect(Number(port), "127.0.0.1", () => socket.write(request)).setTimeout(1000);
    const status = await new Promise((resolve) => {
      socket.once("data", (data) => resolve(String(data).slice(0, 12)));
      for (const event of ["timeout", "error", "close"]) socket.once(event, resolve);
    });
    socket.destroy();
    if (status === "HTTP/1.1 200") return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error("it does not answer");
}

/** Starts a program on a core, and gives back its process and what ends it. */
function start(core, command) {
  const child = spawn("taskset", ["-c", core, ...command], { stdio: ["ignore", "ignore", "pipe"] });
  child.said = "";
  child.stderr.on("data", (data) => (child.said = (child.said + data).slice(-2000)));
  const ended = new Promise((resolve) => child.once("exit", resolve));
  const end = async () => {
    child.kill("SIGTERM");
    const killed = setTimeout(() => child.kill("SIGKILL"), 3000);
    await ended;
    clearTimeout(killed);
  };
  return { child, end };
}

/** Starts a server for one measurement, which gets its URLs and process IDs, and ends it behind that. */
export async function withServer(name, measure) {
  const server = SERVERS[name];
  const ports = await freePorts(["http", "second", "beside"]);
  const beside = server.beside && start(LOAD_CORE, server.beside(ports));
  const { child, end } = start(SERVER_CORE, server.start(ports));
  const topics = (port) => `http://127.0.0.1:${ports[port]}/topics/{topic}`;
  try {
    await answers(ports.http, child);
    if (server.settles) await new Promise((resolve) => setTimeout(resolve, server.settles));
    return measure({
      subscribe: topics("http"),
      http2: server.http2 && topics(server.http2),
      publish: server.publish?.(ports) ?? topics("http"),
      ids: family(child.pid),
    });
  } finally {
    await end();
    await beside?.end();
  }
}
