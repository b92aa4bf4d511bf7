// Caddy before an origin.

import { join } from "node:path";

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

/**
 * Starts Caddy with this text as a site over TLS, which it also serves over HTTP/3; with more global options.
 *
 * Resolves with the URL, and the file of the certificate that vouches for it.
 */
export async function secureCaddy(t, site, options = "") {
  const [directory, port] = [await folder(t), await freePort()];
  const configuration = await file(directory, "Caddyfile", `{
	admin off
	auto_https disable_redirects
	local_certs
	skip_install_trust
${options}
}
https://localhost:${port} {
${site}
}
`);
  const env = { ...process.env, HOME: directory, XDG_DATA_HOME: directory, XDG_CONFIG_HOME: directory };
  await serve(t, find("caddy"), ["run", "--config", configuration, "--adapter", "caddyfile"], port, { env });
  const authority = join(directory, "caddy/pki/authorities/local/root.crt");
  return { url: `https://localhost:${port}`, authority };
}
