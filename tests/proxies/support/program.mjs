// A server program in the foreground: with a folder and a port of its own, ended with the test.

import { once } from "node:events";
import { accessSync, constants } from "node:fs";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";

import { run } from "../../browser/support/hub.mjs";

/** Where Debian puts servers, which is in root's PATH only. */
const PLACES = [...process.env.PATH.split(":"), "/usr/sbin", "/sbin"];

/** The full path of an installed program. */
export function find(name) {
  for (const place of PLACES) {
    const path = join(place, name);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // It is in one of the others.
    }
  }
  throw new Error(`${name} is not installed; ./check installs what these tests need`);
}

/** A folder that goes with the test. */
export async function folder(t) {
  const path = await mkdtemp(join(tmpdir(), "tidings-proxy-"));
  // Servers that are started by root become another user.
  await chmod(path, 0o755);
  t.after(() => rm(path, { recursive: true, force: true, maxRetries: 10 }));
  return path;
}

/** A port that nobody listens on. */
export async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

/**
 * Starts a program that listens on `port`, and resolves with its URL when it does.
 *
 * It is the first of its process group, so that its workers end with it.
 */
export async function serve(t, program, args, port, options = {}) {
  const child = run(t, program, args, { detached: true, ...options });
  let said = "";
  for (const output of [child.stdout, child.stderr]) output.on("data", (data) => (said = (said + data).slice(-4000)));
  let ended;
  child.ended.then(({ code }) => (ended = `code ${code}`), (error) => (ended = error.message));
  for (const deadline = Date.now() + 30_000; !(await listens(port)); await setTimeout(20)) {
    if (ended) throw new Error(`${program} ended with ${ended}:\n${said}`);
    if (Date.now() > deadline) throw new Error(`${program} does not listen:\n${said}`);
  }
  return `http://127.0.0.1:${port}`;
}

async function listens(port) {
  const socket = connect(port, "127.0.0.1");
  try {
    await once(socket, "connect");
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

/** Writes a configuration into the test's folder, and gives its path. */
export async function file(directory, name, text) {
  const path = join(directory, name);
  await writeFile(path, text);
  return path;
}
