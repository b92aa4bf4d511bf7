// Tokens as a backend makes them, for hubs that were started with the flags.

import { createHmac } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A key of HS256 in a file. `flags` start a hub that takes its tokens. */
export class Key {
  static async create(t) {
    const folder = await mkdtemp(join(tmpdir(), "tidings-"));
    t.after(() => rm(folder, { recursive: true }));
    const key = new Key();
    key.file = join(folder, "hub.key");
    key.flags = ["--key-file", key.file];
    key.secret = "a secret of at least thirty-two bytes";
    await writeFile(key.file, `${key.secret}\n`, { mode: 0o600 });
    return key;
  }

  /** A token that holds for `seconds`, with these claims of Tidings' own, such as `{ read: ["*"] }`. */
  mint(tidings, seconds = 600, claims = {}) {
    const text = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
    const signed = `${text({ alg: "HS256", typ: "JWT" })}.${text({ exp: Date.now() / 1000 + seconds, tidings, ...claims })}`;
    return `${signed}.${createHmac("sha256", this.secret).update(signed).digest("base64url")}`;
  }
}
