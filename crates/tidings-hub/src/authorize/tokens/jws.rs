//! The form of a token and its signature (RFC 7515, compact serialization).

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value};

use super::{Refusal, TokenKey, json::object};

/// The longest token.
pub(super) const MAX_TOKEN_BYTES: usize = 16 << 10;

/// The algorithm of a secret.
const ALGORITHM: &str = "HS256";

/// The algorithms of JSON Web Tokens (RFC 7518, section 3.1, and RFC 8037).
const KNOWN: [&str; 14] = [
    "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384",
    "ES512", "EdDSA", "Ed25519",
];

/// Headers that change what the rest of a token means.
const NOT_SUPPORTED: [&str; 3] = ["crit", "b64", "zip"];

/// A token whose signature holds.
#[derive(Debug)]
pub(super) struct Verified {
    pub(super) header: Map<String, Value>,
    pub(super) claims: Map<String, Value>,
}

/// Reads a token, and looks at its signature. The work grows with the length of the token alone.
///
/// The key decides on the algorithm; the token has to name the same one. A key in the token itself (`jwk`, `jku`, `x5c`) is not
/// looked at.
pub(super) fn verify(token: &str, key: &TokenKey) -> Result<Verified, Refusal> {
    let malformed = |what: &str| Refusal::before("token-malformed", what);
    if token.len() > MAX_TOKEN_BYTES {
        let detail = format!("the token has {} bytes; at most {MAX_TOKEN_BYTES} are allowed", token.len());
        return Err(Refusal::before("token-too-long", detail));
    }
    let parts: Vec<_> = token.split('.').collect();
    let [header, claims, signature] = parts[..] else {
        return Err(malformed(
            "a token has three parts with dots between them: header, claims and signature",
        ));
    };
    let decode = |part: &str, what: &str| {
        URL_SAFE_NO_PAD
            .decode(part)
            .map_err(|_| malformed(&format!("the {what} is not base64url without padding")))
    };
    let read_header =
        object(&decode(header, "header")?).map_err(|what| malformed(&format!("the header {what}")))?;
    has_algorithm_of_key(&read_header)?;
    if let Some(name) = NOT_SUPPORTED.iter().find(|name| read_header.contains_key(**name)) {
        let detail = format!("the header has {name:?}, which is not supported");
        return Err(Refusal::before("header-not-supported", detail));
    }
    if let Some(kid) = read_header.get("kid") {
        let detail =
            format!("the header asks for the key {kid}, and the hub's key has no name; leave kid out");
        return Err(Refusal::before("key-unknown", detail));
    }
    let signed = &token[..header.len() + 1 + claims.len()];
    if !key.has_signed(signed.as_bytes(), &decode(signature, "signature")?) {
        return Err(Refusal::before("signature-wrong", "the signature was not made with the hub's key"));
    }
    let malformed = |what: String| Refusal::after("claims-malformed", what);
    let claims =
        URL_SAFE_NO_PAD.decode(claims).map_err(|_| malformed("the claims are not base64url".into()))?;
    let claims = object(&claims).map_err(|what| malformed(format!("the token's set of claims {what}")))?;
    Ok(Verified { header: read_header, claims })
}

fn has_algorithm_of_key(header: &Map<String, Value>) -> Result<(), Refusal> {
    match header.get("alg").and_then(Value::as_str) {
        Some(ALGORITHM) => Ok(()),
        None => Err(Refusal::before("token-malformed", "the header has no alg")),
        Some(none) if none.eq_ignore_ascii_case("none") => {
            Err(Refusal::before("algorithm-none", format!("alg is {none:?}: the token is not signed")))
        }
        Some(known) if KNOWN.contains(&known) => {
            let detail = format!("alg is {known}, and the hub's key is for {ALGORITHM}");
            Err(Refusal::before("algorithm-not-of-key", detail))
        }
        Some(other) => {
            let detail = format!(
                "alg is {other:?}, which is no algorithm for tokens; the hub's key is for {ALGORITHM}"
            );
            Err(Refusal::before("algorithm-not-allowed", detail))
        }
    }
}
