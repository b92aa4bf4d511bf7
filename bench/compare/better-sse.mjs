// better-sse with a channel for each topic, behind node's own servers, HTTP/1.1 and HTTP/2: what its users write.
//   node better-sse.mjs PORT HTTP2_PORT
import { createServer } from "node:http";
import { createServer as createHttp2Server } from "node:http2";
import { createChannel, createSession } from "better-sse";

const [port, http2Port] = process.argv.slice(2).map(Number);
const topics = new Map();

function topic(path) {
  if (!topics.has(path)) topics.set(path, { channel: createChannel(), count: 0 });
  return topics.get(path);
}

async function answer(request, response) {
  const { channel } = topic(request.url);
  if (request.method === "GET") {
    // Its own text, not JSON of it.
    channel.register(await createSession(request, response, { serializer: String, keepAlive: null }));
    return;
  }
  let data = "";
  request.setEncoding("utf8");
  for await (const part of request) data += part;
  const id = `~${String(topic(request.url).count++).padStart(24, "0")}`;
  channel.broadcast(data, "message", { eventId: id });
  response.writeHead(204).end();
}

const servers = [[createServer({ keepAliveTimeout: 0 }, answer), port], [createHttp2Server(answer), http2Port]];
for (const [server, port] of servers) {
  server.on("connection", (socket) => socket.setNoDelay()).listen(port, "127.0.0.1", 4096);
}
