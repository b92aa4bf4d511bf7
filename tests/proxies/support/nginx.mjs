// nginx before an origin.

import { file, find, folder, freePort, serve } from "./program.mjs";

/** Starts nginx with these lines in its `server`; `location` is what else is there beside the default one. */
export async function nginx(t, origin, { lines = "", location = "" } = {}) {
  const [directory, port] = [await folder(t), await freePort()];
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((name) => `${name}_temp_path ${name};`);
  const configuration = await file(directory, "nginx.conf", `
    daemon off;
    master_process off;
    pid nginx.pid;
    error_log stderr;
    events {}
    http {
      access_log off;
      ${temporary.join("\n      ")}
      server {
        listen 127.0.0.1:${port};
        ${lines}
        location / { proxy_pass ${origin}; }
        ${location}
      }
    }
  `);
  return serve(t, find("nginx"), ["-p", directory, "-e", "stderr", "-c", configuration], port);
}
