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

describe("Caddy", { concurrency: 3 }, () => {
  passes("reverse_proxy before an application", BEHIND.application, site("", ""));
  passes("encode gzip before an application", BEHIND.application, site("encode gzip", ""));
  spoils("buffer_responses", ["buffered"], "caddy", BEHIND.application, site("", "{\n    buffer_responses\n  }"));
});
