// Writes jose.json: tokens as jose makes them, with the public halves of their keys as JSON Web Keys and in sets.
//
// npm install jose; node make_jose.mjs > jose.json

import { createRequire } from "node:module";
import { SignJWT, exportJWK, generateKeyPair, generateSecret } from "jose";

const version = createRequire(import.meta.url)("jose/package.json").version;
const NOW = 1_800_000_000;
const own = { publish: ["orders/*"], read: ["users/alice/*"], rights: ["metrics"], limits: { streams: 5 } };

const sign = (algorithm, key, header) =>
  new SignJWT({ tidings: own })
    .setProtectedHeader({ alg: algorithm, ...header })
    .setSubject("alice")
    .setAudience("https://hub.example")
    .setIssuedAt(NOW)
    .setExpirationTime(NOW + 900)
    .sign(key);

const cases = [];
const add = (name, key, token, refused_by = []) =>
  cases.push({ name: `jose ${version}: ${name}`, key: JSON.stringify(key), token, at: NOW + 1, refused_by });

for (const algorithm of ["HS256", "HS384", "HS512"]) {
  const key = await generateSecret(algorithm, { extractable: true });
  add(algorithm, { ...(await exportJWK(key)), alg: algorithm }, await sign(algorithm, key, { typ: "JWT" }));
}

const algorithms = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA", "Ed25519"];
const set = [];
for (const algorithm of algorithms) {
  const { publicKey, privateKey } = await generateKeyPair(algorithm, { extractable: true });
  const key = { ...(await exportJWK(publicKey)), kid: `key of ${algorithm}`, use: "sig" };
  const kid = key.kid;
  set.push({ key, privateKey, algorithm });
  add(algorithm, key, await sign(algorithm, privateKey, { kid }));
  add(`${algorithm}, with its alg in the key`, { ...key, alg: algorithm }, await sign(algorithm, privateKey, { kid }));
}

const keys = { keys: set.map(({ key }) => key) };
for (const { privateKey, algorithm, key } of set) {
  add(`${algorithm} of a set`, keys, await sign(algorithm, privateKey, { kid: key.kid, typ: "at+jwt" }));
}
const [{ privateKey, key }] = set;
add("of a set, without a type", keys, await sign("RS256", privateKey, { kid: key.kid }), ["type-wrong"]);
add("of a set, an ID token", keys, await sign("RS256", privateKey, { kid: key.kid, typ: "JWT" }), ["type-wrong"]);
add("of a set, by another key", keys, await sign("RS256", privateKey, { kid: set[1].key.kid, typ: "at+jwt" }), [
  "signature-wrong",
]);
add("of a set, by no key", keys, await sign("RS256", privateKey, { kid: "none", typ: "at+jwt" }), ["key-unknown"]);
add("of a set, by one of six", keys, await sign("RS256", privateKey, { typ: "at+jwt" }), ["key-unknown"]);

process.stdout.write(`${JSON.stringify(cases, null, 1)}\n`);
