// Applications as tutorials write them: they answer with what an origin sends, and with Cache-Control: no-cache.

import { once } from "node:events";
import { createServer, request } from "node:http";

/** Asks the origin for what a request asks for, gives its answer to `answer`, and stops when the client has left. */
export function ask(origin, incoming, outgoing, answer) {
  // The stream is the application's, and so is the decision to compress it.
  const { host, connection, "accept-encoding": coding, ...headers } = incoming.headers;
  const asked = request(`${origin}${incoming.url}`, { method: incoming.method, headers }, answer);
  asked.on("error", () => outgoing.destroy());
  outgoing.on("close", () => asked.destroy());
  incoming.pipe(asked);
}

/** The headers of an answer without those that tell proxies not to buffer and not to compress. */
export function plainHeaders({ headers: { "x-accel-buffering": _, connection, "transfer-encoding": chunked, ...headers } }) {
  return headers["cache-control"] ? { ...headers, "cache-control": "no-cache" } : headers;
}

/** Starts an application, and resolves with its URL. */
export async function plainApplication(t, origin) {
  const server = createServer((incoming, outgoing) => {
    ask(origin, incoming, outgoing, (answer) => {
      outgoing.writeHead(answer.statusCode, plainHeaders(answer));
      outgoing.flushHeaders();
      answer.on("error", () => outgoing.destroy());
      answer.pipe(outgoing);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${server.address().port}`;
}
