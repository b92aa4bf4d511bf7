// better-sse with a channel for each topic, behind node's own HTTP server: what its users write.
import { createServer } from "node:http";
import { createChannel, createSession } from "better-sse";

const topics = new Map();

function topic(path) {
  if (!topics.has(path)) topics.set(path, { channel: createChannel(), count: 0 });
  return topics.get(path);
}

createServer({ keepAliveTimeout: 0 }, async (request, response) => {
  request.socket.setNoDelay(true);
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
}).listen(Number(process.argv[2]), "127.0.0.1", 4096);
