//! The form of a token (RFC 7515, compact serialization), before its signature is looked at.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value};

use super::{
    Refusal,
    algorithm::{Algorithm, NOT_SUPPORTED},
    json::object,
    key::MAX_ID_BYTES,
    shown::quoted,
};

/// The longest token.
pub(super) const MAX_TOKEN_BYTES: usize = 16 << 10;

/// Headers that change what the rest of a token means.
const NOT_UNDERSTOOD: [&str; 3] = ["crit", "b64", "zip"];

/// A token that may be anybody's.
pub(super) struct Unverified<'t> {
    pub(super) header: Map<String, Value>,
    /// The reason, if the claims cannot be read. It is told only after the signature.
    pub(super) claims: Result<Map<String, Value>, String>,
    /// The part that is signed.
    pub(super) signed: &'t [u8],
    pub(super) signature: Vec<u8>,
}

/// Takes a token apart. The work grows with the length of the token alone.
pub(super) fn parse(token: &str) -> Result<Unverified<'_>, Refusal> {
    let malformed = |what: &str| Refusal::before("token-malformed", what);
    if token.len() > MAX_TOKEN_BYTES {
        let detail = format!("the token has {} bytes; at most {MAX_TOKEN_BYTES} are allowed", token.len());
        return Err(Refusal::before("token-too-long", detail));
    }
    let mut parts = token.split('.');
    let (Some(header), Some(claims), Some(signature), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(malformed(match token.split('.').count() {
            5 => "the token has five parts: it is encrypted (JWE), and the hub takes signed tokens",
            _ => "a token has three parts with dots between them: header, claims and signature",
        }));
    };
    let decode = |part: &str, what: &str| {
        URL_SAFE_NO_PAD
            .decode(part)
            .map_err(|_| malformed(&format!("the {what} is not base64url without padding")))
    };
    let read_header =
        object(&decode(header, "header")?).map_err(|what| malformed(&format!("the header {what}")))?;
    let read_claims = match URL_SAFE_NO_PAD.decode(claims) {
        Ok(bytes) => object(&bytes).map_err(|what| format!("the token's set of claims {what}")),
        Err(_) => Err("the claims are not base64url without padding".to_owned()),
    };
    Ok(Unverified {
        header: read_header,
        claims: read_claims,
        signed: &token.as_bytes()[..header.len() + 1 + claims.len()],
        signature: decode(signature, "signature")?,
    })
}

impl Unverified<'_> {
    /// The algorithm that the token names. Whether it may is decided by the key.
    pub(super) fn algorithm(&self) -> Result<Algorithm, Refusal> {
        let not_allowed = |detail: String| Err(Refusal::before("algorithm-not-allowed", detail));
        let name = match self.header.get("alg").and_then(Value::as_str) {
            None => return Err(Refusal::before("token-malformed", "the header has no alg")),
            Some(none) if none.eq_ignore_ascii_case("none") => {
                let detail = format!("alg is {none}: the token is not signed");
                return Err(Refusal::before("algorithm-none", detail));
            }
            Some(name) => name,
        };
        let other = NOT_SUPPORTED.iter().find(|(other, _)| *other == name);
        match (Algorithm::parse(name), other) {
            (Some(algorithm), _) => Ok(algorithm),
            (None, Some((_, why))) => not_allowed(format!("alg is {name}: {why}")),
            (None, None) => {
                not_allowed(format!("alg is {}, which is no algorithm that the hub verifies", quoted(name)))
            }
        }
    }

    /// Whether all of the header is understood. A key in the token itself (`jwk`, `jku`, `x5u`, `x5c`) is not looked at.
    pub(super) fn is_understood(&self) -> Result<(), Refusal> {
        match NOT_UNDERSTOOD.iter().find(|name| self.header.contains_key(**name)) {
            None => Ok(()),
            Some(name) => {
                let detail = format!("the header has {name:?}, which is not supported");
                Err(Refusal::before("header-not-supported", detail))
            }
        }
    }

    /// The name of the key that the token asks for. It only chooses among the keys that the hub has.
    pub(super) fn key_id(&self) -> Result<Option<&str>, Refusal> {
        match self.header.get("kid") {
            None => Ok(None),
            Some(Value::String(id)) if id.len() <= MAX_ID_BYTES => Ok(Some(id)),
            Some(_) => {
                let detail = format!("kid is not a text of at most {MAX_ID_BYTES} bytes");
                Err(Refusal::before("key-unknown", detail))
            }
        }
    }

    /// The issuer that the token names. Nothing proves it yet.
    pub(super) fn issuer(&self) -> Option<&str> {
        self.claims.as_ref().ok()?.get("iss")?.as_str()
    }
}
