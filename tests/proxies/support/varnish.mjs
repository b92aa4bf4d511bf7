// Varnish before an origin.

import { file, find, folder, freePort, serve } from "./program.mjs";

/** Starts Varnish with these subroutines before the built-in ones, and these parameters. */
export async function varnish(t, origin, { vcl = "", parameters = [] } = {}) {
  const [directory, port] = [await folder(t), await freePort()];
  const { hostname, port: originPort } = new URL(origin);
  const configuration = await file(directory, "default.vcl", `vcl 4.1;
backend origin { .host = "${hostname}"; .port = "${originPort}"; }
${vcl}
`);
  const flags = parameters.flatMap((parameter) => ["-p", parameter]);
  const place = ["-F", "-j", "none", "-n", `${directory}/work`, "-a", `127.0.0.1:${port}`, "-s", "malloc,16m"];
  return serve(t, find("varnishd"), [...place, ...flags, "-f", configuration], port);
}
