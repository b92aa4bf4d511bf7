// Caddy before an origin.

import { file, find, folder, freePort, serve } from "./program.mjs";

/** Starts Caddy with this text as its site, and more global options. */
export async function caddy(t, site, options = "") {
  const [directory, port] = [await folder(t), await freePort()];
  const configuration = await file(directory, "Caddyfile", `{
	admin off
	auto_https off
${options}
}
http://127.0.0.1:${port} {
${site}
}
`);
  const env = { ...process.env, HOME: directory, XDG_DATA_HOME: directory, XDG_CONFIG_HOME: directory };
  return serve(t, find("caddy"), ["run", "--config", configuration, "--adapter", "caddyfile"], port, { env });
}
