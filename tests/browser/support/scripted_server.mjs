// A server that answers each request for a stream as a test says.

import { once } from "node:events";
import http from "node:http";

/**
 * Starts a server that hands its `n`th request to the `n`th of `answers`, and further ones to the last: a function of
 * the response, and of the request with its body as `request.text`. Resolves to `{url, requests}`.
 */
export async function startScriptedServer(t, ...answers) {
  const requests = [];
  const server = http.createServer(async (request, response) => {
    const at = requests.push(request) - 1;
    request.at = Date.now();
    request.text = "";
    for await (const chunk of request) request.text += chunk;
    request.ended = once(response, "close");
    await answers[Math.min(at, answers.length - 1)](response, request);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${server.address().port}/stream`, requests };
}

/** Answers with a stream of `text` that ends, or with `stays` that stays open, or with `breaks` that breaks off. */
export const stream = (text, { end = "ends", headers = {} } = {}) => (response) => {
  response.writeHead(200, { "Content-Type": "text/event-stream", ...headers });
  response.flushHeaders();
  if (end === "breaks") response.write(text, () => setImmediate(() => response.destroy()));
  else if (end === "stays") response.write(text);
  else response.end(text);
};

/** Answers with a status and nothing else. */
export const status = (code, headers = {}, body = "") => (response) => response.writeHead(code, headers).end(body);
