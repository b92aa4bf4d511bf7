// HAProxy before an origin.

import { file, find, folder, freePort, serve } from "./program.mjs";

/** Starts HAProxy with these lines in its defaults, the later ones first of their kind. */
export async function haproxy(t, origin, lines = "") {
  const [directory, port] = [await folder(t), await freePort()];
  const configuration = await file(directory, "haproxy.cfg", `
defaults
  mode http
  timeout connect 5s
${lines}
frontend all
  bind 127.0.0.1:${port}
  default_backend origin
backend origin
  server origin ${new URL(origin).host}
`);
  return serve(t, find("haproxy"), ["-db", "-q", "-f", configuration], port);
}
