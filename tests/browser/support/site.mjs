// A web site of its own origin.

import { once } from "node:events";
import http from "node:http";

/** Serves `pages`, HTML by path, and resolves to the site's origin. The end of the test `t` ends it. */
export async function startSite(t, pages = { "/": "<!doctype html><title>Another site</title>" }) {
  const server = http.createServer((request, response) => {
    const page = pages[request.url.split("?")[0]];
    response.writeHead(page ? 200 : 404, { "Content-Type": "text/html; charset=utf-8" });
    response.end(page);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${server.address().port}`;
}
