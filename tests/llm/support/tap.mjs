// A proxy between a client and the gateway that keeps what both have sent, and cuts when it is told to.

import { once } from "node:events";
import net from "node:net";

/**
 * Starts it, and resolves to its `url`; to what clients have `asked()` and the gateway has `sent()` so far, as text; and
 * to `cut()`, which ends all connections.
 */
export async function startTap(t, gateway) {
  const sockets = new Set();
  let asked = "";
  let sent = "";
  const cut = () => sockets.forEach((socket) => socket.destroy());
  const server = net.createServer((client) => {
    const hub = net.connect(gateway.port, "127.0.0.1");
    client.on("data", (bytes) => (asked += bytes.toString("latin1")));
    hub.on("data", (bytes) => (sent += bytes.toString("latin1")));
    for (const [one, other] of [[client, hub], [hub, client]]) {
      sockets.add(one.once("close", () => sockets.delete(one)));
      one.pipe(other);
      one.on("error", () => other.destroy());
      one.on("close", () => other.destroy());
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.close();
    cut();
  });
  return { url: `http://127.0.0.1:${server.address().port}`, asked: () => asked, sent: () => sent, cut };
}
