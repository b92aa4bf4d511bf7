// The application behind Pushpin: a GET of a topic is held open by Pushpin, and a POST to a topic is published through it.
//   node pushpin_origin.mjs PORT CONTROL_PORT
import { createServer, request as httpRequest } from "node:http";

const [port, controlPort] = process.argv.slice(2);

/** Updates that wait for the request before, each with the answer that its publisher gets. */
let waiting = [];
let isBusy = false;
let count = 0;

/** Publishes all that waits in one request, one after the other: Pushpin tells no order among several. */
function publish() {
  if (isBusy || waiting.length === 0) return;
  isBusy = true;
  const batch = waiting;
  waiting = [];
  const body = JSON.stringify({ items: batch.map(({ item }) => item) });
  const done = (status) => {
    for (const { response } of batch) response.writeHead(status).end();
    isBusy = false;
    publish();
  };
  httpRequest({ port: controlPort, host: "127.0.0.1", path: "/publish/", method: "POST", agent: false,
    headers: { "Content-Length": Buffer.byteLength(body) } })
    .on("response", (response) => response.resume().on("end", () => done(response.statusCode)))
    .on("error", () => done(502))
    .end(body);
}

createServer({ keepAliveTimeout: 0 }, async (request, response) => {
  const channel = request.url.split("/").pop();
  if (request.method === "GET") {
    response.writeHead(200, { "Content-Type": "text/event-stream", "Grip-Hold": "stream", "Grip-Channel": channel });
    response.end(":\nretry: 2000\n\n");
    return;
  }
  // As many bytes as a hub's ID has, in the order of the requests.
  const id = `~${String(count++).padStart(24, "0")}`;
  const entry = { response };
  let data = "";
  request.setEncoding("utf8");
  for await (const part of request) data += part;
  entry.item = { channel, formats: { "http-stream": { content: `id: ${id}\ndata: ${data}\n\n` } } };
  waiting.push(entry);
  publish();
}).listen(Number(port), "127.0.0.1", 4096);
