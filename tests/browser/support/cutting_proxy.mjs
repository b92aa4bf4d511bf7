// A TCP proxy that cuts connections where a test says, at any byte.

import { once } from "node:events";
import net from "node:net";

/**
 * Stands between a hub and one client. It records every request, and cuts the answers to requests for a stream.
 *
 * It knows just enough of HTTP for that: clients do not pipeline, and a head comes in one piece, as all heads here are
 * small.
 */
export class CuttingProxy {
  /** `{method, target, headers, status}` of each request, in order. */
  requests = [];

  /** For each cut: what had been passed on of the answer. */
  cuts = [];

  /**
   * Says where to cut the answer to the `number`th request for a stream, which is 1 for the first: a function from what
   * has arrived of the answer to the length that is passed on, or -1 for not yet. `undefined` cuts nothing.
   */
  cutting = (number) => undefined;

  /** Resolves when the client has seen what it got before a cut. Until then its connection stays open. */
  seen = async () => {};

  #streams = 0;
  #gate = Promise.resolve();
  #open = () => {};

  static async start(t, hub) {
    const proxy = new CuttingProxy();
    const sockets = new Set();
    const server = net.createServer((client) => {
      sockets.add(client.once("close", () => sockets.delete(client)));
      proxy.#serve(client, hub.port);
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    t.after(() => {
      proxy.release();
      server.close();
      for (const socket of sockets) socket.destroy();
    });
    proxy.url = `http://127.0.0.1:${server.address().port}`;
    return proxy;
  }

  /** The requests for streams. */
  get streams() {
    return this.requests.filter(isStream);
  }

  /** Lets requests for streams wait, until `release`. */
  hold() {
    this.#gate = new Promise((resolve) => (this.#open = resolve));
  }

  release() {
    this.#open();
  }

  #serve(client, port) {
    const hub = net.connect(port, "127.0.0.1");
    for (const [one, other] of [[client, hub], [hub, client]]) {
      one.on("error", () => other.destroy());
      one.on("close", () => other.destroy());
    }

    let request, rule, passed;
    client.on("data", async (bytes) => {
      const head = parseRequest(bytes.toString("latin1"));
      if (head) {
        request = head;
        this.requests.push(request);
        rule = isStream(request) ? this.cutting(++this.#streams) : undefined;
        passed = Buffer.alloc(0);
        if (isStream(request)) await this.#gate;
      }
      hub.write(bytes);
    });
    hub.on("data", (bytes) => {
      request.status ??= Number(/^HTTP\/1\.1 (\d{3})/.exec(bytes.toString("latin1"))?.[1]) || undefined;
      if (!rule) return client.write(bytes);
      const received = Buffer.concat([passed, bytes]);
      const length = rule(received);
      if (length < 0) {
        passed = received;
        return client.write(bytes);
      }
      const cut = received.subarray(0, length);
      this.cuts.push(cut);
      // From here on the client's connection ends below, and not because the hub's does.
      hub.removeAllListeners("close").removeAllListeners("data").destroy();
      // Networks end in both ways: with a FIN, and with a RST.
      const orderly = this.cuts.length % 2 === 1;
      client.write(cut.subarray(passed.length), async () => {
        await this.seen();
        if (orderly) client.destroySoon();
        else client.resetAndDestroy();
      });
    });
  }
}

function parseRequest(text) {
  const [first, ...lines] = text.split("\r\n\r\n", 1)[0].split("\r\n");
  const [, method, target] = /^([A-Z]+) (\S+) HTTP\/1\.1$/.exec(first) ?? [];
  if (!method) return undefined;
  const headers = lines.map((line) => line.split(/:\s*(.*)/s, 2)).map(([name, value]) => [name.toLowerCase(), value]);
  return { method, target, headers: Object.fromEntries(headers), status: undefined };
}

const isStream = ({ method, target }) => method === "GET" && target.startsWith("/topics");

/** Cuts after `length` bytes of the answer, wherever that is. */
export const afterBytes = (length) => (received) => (received.length >= length ? length : -1);

/** Cuts behind the first `text`. */
export const behind = (text) => (received) => {
  const at = received.indexOf(text);
  return at < 0 ? -1 : at + Buffer.byteLength(text);
};

/** Cuts after at least `length` bytes, inside a character of more than one byte. */
export const insideCharacter = (length) => (received) => {
  const at = received.subarray(length).findIndex((byte) => byte >= 0xc0);
  return at < 0 ? -1 : length + at + 1;
};
