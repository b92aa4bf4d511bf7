// Apache httpd before an origin.

import { file, find, folder, freePort, serve } from "./program.mjs";

const MODULES = [
  "mpm_event", "authz_core", "env", "headers", "setenvif", "filter", "deflate", "proxy", "proxy_http",
];

/** Starts Apache with these lines before the one that passes everything on. */
export async function apache(t, origin, { lines = "", pass = "" } = {}) {
  const [directory, port] = [await folder(t), await freePort()];
  const modules = MODULES.map((name) => `LoadModule ${name}_module /usr/lib/apache2/modules/mod_${name}.so`);
  const configuration = await file(directory, "apache.conf", `
${modules.join("\n")}
ServerRoot ${directory}
ServerName localhost
PidFile apache.pid
DefaultRuntimeDir ${directory}
Mutex posixsem
Listen 127.0.0.1:${port}
ErrorLog error.log
User www-data
Group www-data
StartServers 1
ServerLimit 1
ThreadsPerChild 32
MaxRequestWorkers 32
${lines}
${pass}
ProxyPass / ${origin}/
`);
  return serve(t, find("apache2"), ["-DFOREGROUND", "-d", directory, "-f", configuration], port);
}
