// A provider of a language model, as far as the tests need one: node tests/model/server.mjs [KEY]
//
// POST /v1/chat/completions, /v1/messages and /v1/responses answer in that dialect, streamed or whole. A KEY is asked for
// as providers do. GET /calls tells which model it is, how many answers were asked for, and how many are being generated:
// one whose client goes is not any more. Prints its URL.

import http from "node:http";

import { dialects } from "./dialects.mjs";
import { loadModel } from "./model.mjs";

const key = process.argv[2];
const model = await loadModel();
const calls = { model: model.name, calls: 0, running: 0 };

const server = http.createServer(async (request, response) => {
  const dialect = dialects[request.url];
  if (request.method === "GET" && request.url === "/calls") return reply(response, 200, calls);
  if (request.method !== "POST" || !dialect) return refuse(response, 404, "not_found_error", "there is no such thing here");
  const { authorization, "x-api-key": apiKey } = request.headers;
  if (key && authorization !== `Bearer ${key}` && apiKey !== key) {
    return refuse(response, 401, "authentication_error", "Incorrect API key provided");
  }
  calls.calls++;
  calls.running++;
  try {
    let text = "";
    for await (const chunk of request) text += chunk;
    await answer(response, JSON.parse(text), dialect);
  } catch (error) {
    // An answer that has begun is cut off.
    if (response.headersSent) response.destroy(error);
    else refuse(response, 400, "invalid_request_error", error.message);
  } finally {
    calls.running--;
  }
});

async function answer(response, body, dialect) {
  const gone = new AbortController();
  response.on("close", () => gone.abort());
  const { question, maxTokens, begin, piece, end, whole } = dialect(body, body.model ?? model.name);
  if (!body.stream) {
    let text = "";
    const outcome = await model.answer(question, { maxTokens, signal: gone.signal, onText: (more) => (text += more) });
    return reply(response, 200, whole(text, outcome));
  }
  const send = (events) => {
    for (const { type, data } of events) {
      response.write(`${type ? `event: ${type}\n` : ""}data: ${typeof data === "string" ? data : JSON.stringify(data)}\n\n`);
    }
  };
  response.writeHead(200, { "Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache" });
  send(begin());
  const outcome = await model.answer(question, { maxTokens, signal: gone.signal, onText: (text) => send(piece(text)) });
  send(end(outcome));
  response.end();
}

function reply(response, status, body) {
  response.writeHead(status, { "Content-Type": "application/json" }).end(JSON.stringify(body));
}

const refuse = (response, status, type, message) => reply(response, status, { type: "error", error: { type, message } });

server.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}`));
