// What HAProxy does to streams, and what the doctor says about it.

import { describe } from "node:test";

import { lines } from "./support/doctor.mjs";
import { haproxy } from "./support/haproxy.mjs";
import { BEHIND, spoils } from "./support/matrix.mjs";

const TIMEOUTS = "  timeout client 30s\n  timeout server 30s\n";

function mended(text) {
  return text ? lines(text, /^timeout client/, /^compression type/) : "";
}

const with_ = (settings) => (t, origin, text) => haproxy(t, origin, `${settings}${mended(text)}`);

describe("HAProxy", { concurrency: 3 }, () => {
  spoils("as in its manual", ["delayed"], "haproxy", BEHIND.application, with_(TIMEOUTS));
  spoils(
    "compression algo gzip",
    ["one-behind"],
    "haproxy",
    BEHIND.application,
    with_(`${TIMEOUTS}  option http-no-delay\n  compression algo gzip\n`),
  );
  spoils(
    "timeout server 2s",
    ["broken-off"],
    "haproxy",
    BEHIND.quietApplication,
    with_("  option http-no-delay\n  timeout client 30s\n  timeout server 2s\n"),
  );
});
