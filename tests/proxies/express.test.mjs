// What Express with `compression` does to streams, and what the doctor says about it.

import { describe } from "node:test";
import { fileURLToPath } from "node:url";

import { lines } from "./support/doctor.mjs";
import { BEHIND, spoils } from "./support/matrix.mjs";
import { freePort, serve } from "./support/program.mjs";

const SERVER = fileURLToPath(new URL("support/express_server.mjs", import.meta.url));

describe("Express", () => {
  spoils(
    "app.use(compression())",
    ["buffered-compressed"],
    "compress",
    BEHIND.application,
    async (t, origin, text) => {
      const line = text ? lines(text, /^app\.use/, /compression\.filter/) : "app.use(compression());";
      const port = await freePort();
      const env = { ...process.env, COMPRESSION: line };
      return serve(t, process.execPath, [SERVER, origin, String(port)], port, { env });
    },
  );
});
