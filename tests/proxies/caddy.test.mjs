// What Caddy does to streams, and what the doctor says about it.

import { describe } from "node:test";

import { caddy } from "./support/caddy.mjs";
import { lines } from "./support/doctor.mjs";
import { BEHIND, passes, spoils } from "./support/matrix.mjs";

/** A site that passes everything on, and the stream as the text says if there is one. */
const site = (settings, proxy) => (t, origin, text) => {
  const mended = text ? lines(text, /^handle /, /^}/).replace("…", origin) : "";
  return caddy(t, `${settings}\n${mended}\nhandle {\n  reverse_proxy ${origin} ${proxy}\n}`);
};

/** A site whose answers have two seconds, unless the text lifts that. */
const hurried = (t, origin, text) => {
  const limit = text ? lines(text, /^servers \{/, /^}/) : "servers {\n  timeouts {\n    write 2s\n  }\n}";
  return caddy(t, `reverse_proxy ${origin}`, limit);
};

describe("Caddy", { concurrency: 3 }, () => {
  passes("reverse_proxy before an application", BEHIND.application, site("", ""));
  passes("encode gzip before an application", BEHIND.application, site("encode gzip", ""));
  spoils("write 2s", ["lifetime-cut"], "caddy", BEHIND.application, hurried);
  spoils("buffer_responses", ["buffered"], "caddy", BEHIND.application, site("", "{\n    buffer_responses\n  }"));
});
