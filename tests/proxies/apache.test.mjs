// What Apache httpd does to streams, and what the doctor says about it.

import { describe } from "node:test";

import { apache } from "./support/apache.mjs";
import { lines } from "./support/doctor.mjs";
import { BEHIND, passes, spoils } from "./support/matrix.mjs";

function mended(text, origin) {
  return text ? lines(text, /^ProxyPass /, /^SetEnvIf /).replace("http://…", origin) : "";
}

const with_ = (lines) => (t, origin, text) => apache(t, origin, { lines, pass: mended(text, origin) });

describe("Apache httpd", { concurrency: 3 }, () => {
  passes("ProxyPass before an application", BEHIND.application, with_(""));
  passes("mod_deflate for everything, which flushes", BEHIND.application, with_("SetOutputFilter DEFLATE"));
  spoils("ProxyTimeout 2", ["broken-off"], "apache", BEHIND.quietApplication, with_("ProxyTimeout 2"));
});
