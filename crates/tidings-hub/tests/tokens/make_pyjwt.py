"""Writes pyjwt.json: tokens as PyJWT makes them, with the public halves of their keys.

pip install pyjwt cryptography; python make_pyjwt.py > pyjwt.json
"""

import json
import secrets
import sys

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

NOW = 1_800_000_000
CLAIMS = {
    "sub": "alice",
    "aud": "https://hub.example",
    "iat": NOW,
    "nbf": NOW,
    "exp": NOW + 900,
    "tidings": {"publish": ["orders/*"], "read": ["users/alice/*"]},
}


def pem(key):
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def case(algorithm, key, text, claims=CLAIMS, refused_by=(), headers=None):
    token = jwt.encode(claims, key, algorithm=algorithm, headers=headers)
    return {
        "name": f"PyJWT {jwt.__version__}: {algorithm}",
        "key": text,
        "algorithm": algorithm,
        "token": token,
        "at": NOW + 1,
        "refused_by": list(refused_by),
    }


def cases():
    for algorithm, length in [("HS256", 32), ("HS384", 48), ("HS512", 64)]:
        secret = secrets.token_hex(length // 2)
        yield case(algorithm, secret, secret)
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    for algorithm in ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]:
        yield case(algorithm, key, pem(key))
    for algorithm, curve in [("ES256", ec.SECP256R1()), ("ES384", ec.SECP384R1())]:
        key = ec.generate_private_key(curve)
        yield case(algorithm, key, pem(key))
    key = ed25519.Ed25519PrivateKey.generate()
    yield case("EdDSA", key, pem(key))
    yield case("EdDSA", key, pem(key), {**CLAIMS, "aud": ["a", "b"]}, ["audience-wrong"])
    yield case("EdDSA", key, pem(key), {**CLAIMS, "exp": NOW - 41}, ["token-expired"])
    yield case("EdDSA", key, pem(key), CLAIMS, ["key-unknown"], {"kid": "one"})


json.dump(list(cases()), sys.stdout, indent=1)
print()
