// How long after its arrival a subscriber sees an event of a publish that goes on.
//
//   node bench/publish_latency.mjs [events] [hub]
//
// `curl -X POST -T -` is fed one event a second (10 by default); each carries the moment at which it was written to curl.
// It is an end-to-end figure: curl's own reading and sending are in it. No bar is asserted; the same events over a bare
// pair of sockets, through the same event loop, stand beside it.

import { spawn } from "node:child_process";
import { once } from "node:events";
import http from "node:http";
import net from "node:net";
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";

const events = Number(process.argv[2] ?? 10);
const hub = spawn(process.argv[3] ?? "target/release/tidings", ["serve", "--memory", "--listen", "127.0.0.1:0"], {
  stdio: ["ignore", "ignore", "pipe"],
});
process.on("exit", () => hub.kill());
const [greeting] = await once(createInterface({ input: hub.stderr }), "line");
const topic = `${greeting.match(/http:\S+/)[0]}/topics/latency`;

const now = () => performance.now();
const seen = [];
const bare = [];

const subscriber = http.get(topic, { headers: { accept: "text/event-stream" } });
const [stream] = await once(subscriber, "response");
const lines = createInterface({ input: stream });
await once(lines, "line");
lines.on("line", (line) => {
  const [, written] = line.match(/^data: ([\d.]+)$/) ?? [];
  if (written) seen.push(now() - Number(written));
});

const server = net.createServer((socket) => socket.on("data", (data) => bare.push(now() - Number(data)))).listen(0, "127.0.0.1");
await once(server, "listening");
const socket = net.connect(server.address().port, "127.0.0.1").setNoDelay(true);

const curl = spawn("curl", ["-sS", "-X", "POST", "-T", "-", "-H", "Content-Type: text/event-stream", topic], {
  stdio: ["pipe", "pipe", "inherit"],
});
for (let count = 0; count < events; count += 1) {
  await pause(1000);
  curl.stdin.write(`data: ${now()}\n\n`);
  await pause(100);
  socket.write(String(now()));
}
await pause(200);
const beforeTheEnd = seen.length;
curl.stdin.end();
const [answer] = await once(curl.stdout, "data");
if (JSON.parse(answer).count !== events || beforeTheEnd !== events) {
  console.error(`${beforeTheEnd} of ${events} events were seen before the request ended: ${answer}`);
  process.exit(1);
}

const median = (list) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)];
const row = (name, list) => console.log(`${name.padEnd(36)} ${median(list).toFixed(2).padStart(8)} ms ${Math.max(...list).toFixed(2).padStart(8)} ms`);
console.log(`${"".padEnd(36)}      median     maximum   (${events} events)`);
row("written to curl → seen by subscriber", seen);
row("bare socket", bare);
process.exit(0);
