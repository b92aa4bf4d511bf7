// What Caddy does to streams, and what the doctor says about it.

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { caddy, secureCaddy } from "./support/caddy.mjs";
import { diagnose, explained, lines, rules, startOrigin } from "./support/doctor.mjs";
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

  test("HTTP/3: it is measured beside HTTP/2 and HTTP/1.1, and not offered any more with the doctor's text", async (t) => {
    const origin = await startOrigin(t);
    const site = `reverse_proxy ${origin}`;
    const look = async (options) => {
      const { url, authority } = await secureCaddy(t, site, options);
      const report = await diagnose(t, `${url}/events`, [], authority);
      assert.deepEqual(rules(report), [], JSON.stringify(report.findings));
      return report;
    };
    const { numbers, not_measured } = await look("");
    assert.equal(numbers.protocol, "HTTP/2");
    // That each of them streams is what the absence of findings says; how evenly, a busy machine decides.
    for (const version of ["http1", "http3", "identity"]) assert.equal(typeof numbers.score[version], "number", version);
    assert.equal(why(not_measured, "HTTP/3"), undefined);

    const without = await look(lines(await explained(t, "http3", "/events"), /^servers \{/, /^}/));
    assert.equal(without.numbers.score.http3, undefined);
    assert.equal(why(without.not_measured, "HTTP/3"), "no Alt-Svc header offers it");
  });

  test("HTTP/3 that is offered at an address without an answer is reported, and is no fault", async (t) => {
    const origin = await startOrigin(t);
    const site = String.raw`header Alt-Svc "h3=\":1\"; ma=60"` + `\nreverse_proxy ${origin}`;
    const { url, authority } = await secureCaddy(t, site, "servers {\n  protocols h1 h2\n}");
    const report = await diagnose(t, `${url}/events`, [], authority);
    assert.deepEqual(rules(report), []);
    assert.match(why(report.not_measured, "HTTP/3"), /^Alt-Svc offers it, but no answer from .*:1 over UDP$/);
  });

  spoils("buffer_responses", ["buffered"], "caddy", BEHIND.application, site("", "{\n    buffer_responses\n  }"));
});

/** Why something was not measured; `undefined` if it was. */
function why(missing, thing) {
  return missing.find(({ what }) => what === thing)?.why;
}
