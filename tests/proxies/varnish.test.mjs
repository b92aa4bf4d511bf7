// What Varnish does to streams, and what the doctor says about it.

import { describe } from "node:test";

import { lines } from "./support/doctor.mjs";
import { BEHIND, passes, spoils } from "./support/matrix.mjs";
import { varnish } from "./support/varnish.mjs";

function mended(text) {
  return text ? lines(text, /^sub vcl_recv/, /^}/) : "";
}

const with_ = (vcl, parameters) => (t, origin, text) =>
  varnish(t, origin, { vcl: `${mended(text)}\n${vcl}`, parameters });

describe("Varnish", { concurrency: 3 }, () => {
  passes("the built-in VCL before the hub, which sends Cache-Control", BEHIND.hub, with_(""));
  passes("the built-in VCL before an application", BEHIND.application, with_(""));
  spoils(
    "a ttl for everything",
    ["cached", "cacheable"],
    "varnish",
    BEHIND.application,
    with_("sub vcl_backend_response { unset beresp.http.Cache-Control; set beresp.ttl = 2m; return (deliver); }"),
  );
  spoils(
    "do_gzip",
    ["buffered"],
    "varnish",
    BEHIND.application,
    with_("sub vcl_backend_response { set beresp.do_gzip = true; }"),
  );
  spoils(
    "between_bytes_timeout=2",
    ["broken-off"],
    "varnish",
    BEHIND.quietApplication,
    with_("", ["between_bytes_timeout=2"]),
  );
});
