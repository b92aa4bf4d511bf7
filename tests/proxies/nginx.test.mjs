// What nginx does to streams, and what the doctor says about it.

import { describe } from "node:test";

import { lines } from "./support/doctor.mjs";
import { BEHIND, passes, spoils } from "./support/matrix.mjs";
import { nginx } from "./support/nginx.mjs";

/** The text's own location, beside the one that spoils. */
function mended(text, origin) {
  return text ? lines(text, /^location /, /^}/).replace("http://…", origin) : "";
}

const with_ = (settings) => (t, origin, text) => nginx(t, origin, { ...settings, location: mended(text, origin) });

describe("nginx", { concurrency: 3 }, () => {
  passes("proxy_pass before the hub, which sends X-Accel-Buffering", BEHIND.hub, with_({}));
  spoils("proxy_pass before an application", ["buffered"], "nginx", BEHIND.application, with_({}));
  spoils(
    "X-Accel-Buffering ignored before the hub",
    ["buffered"],
    "nginx",
    BEHIND.hub,
    with_({ lines: "proxy_ignore_headers X-Accel-Buffering;" }),
  );
  spoils(
    "gzip of event streams before an application",
    ["buffered"],
    "nginx",
    BEHIND.application,
    with_({ lines: "gzip on; gzip_types text/event-stream; gzip_proxied any; gzip_http_version 1.0;" }),
  );
  spoils(
    "proxy_read_timeout 2s",
    ["broken-off"],
    "nginx",
    BEHIND.quietApplication,
    with_({ lines: "proxy_buffering off; proxy_read_timeout 2s;" }),
  );
});
