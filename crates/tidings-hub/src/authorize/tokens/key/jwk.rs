//! JSON Web Keys (RFC 7517), with the parameters of RFC 7518, section 6, and RFC 8037.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value};

use super::{InvalidTokenKey, Key, pem::of_another_kind, public, secret};
use crate::authorize::tokens::algorithm::{Algorithm, NOT_SUPPORTED};

/// The longest `kid`, in bytes.
pub(in crate::authorize::tokens) const MAX_ID_BYTES: usize = 256;

/// Reads one key.
pub(super) fn read(jwk: &Map<String, Value>) -> Result<Key, InvalidTokenKey> {
    verifies(jwk)?;
    let algorithm = algorithm(jwk)?;
    let id = match jwk.get("kid") {
        None => None,
        Some(Value::String(id)) if id.len() <= MAX_ID_BYTES => Some(id.as_str().into()),
        Some(_) => {
            let reason = format!("its kid is not a text of at most {MAX_ID_BYTES} bytes");
            return Err(InvalidTokenKey::malformed(reason));
        }
    };
    if jwk.contains_key("d") {
        return Err(InvalidTokenKey::Private { what: "a JSON Web Key with the member d" });
    }
    let only = |own: Algorithm, what: &str| match algorithm {
        Some(other) if other != own => Err(of_another_kind(what, other)),
        _ => Ok(vec![own]),
    };
    let (algorithms, material) = match text(jwk, "kty")? {
        "oct" => {
            let algorithm = algorithm.unwrap_or(Algorithm::Hs256);
            (vec![algorithm], secret::material(&bytes(jwk, "k")?, algorithm)?)
        }
        "RSA" => {
            let algorithms = match algorithm {
                None => Algorithm::OF_RSA.to_vec(),
                Some(one) if Algorithm::OF_RSA.contains(&one) => vec![one],
                Some(other) => return Err(of_another_kind("an RSA key", other)),
            };
            (algorithms, public::rsa(&bytes(jwk, "n")?, &bytes(jwk, "e")?)?)
        }
        "EC" => {
            let (curve, mut point) = (text(jwk, "crv")?, vec![4]);
            let (x, y) = (bytes(jwk, "x")?, bytes(jwk, "y")?);
            if x.len() != y.len() {
                return Err(InvalidTokenKey::malformed("its x and y differ in length"));
            }
            point.extend(x);
            point.extend(y);
            let (own, material) = public::point(curve, &point)?;
            (only(own, &format!("a key on {curve}"))?, material)
        }
        "OKP" => {
            let curve = text(jwk, "crv")?;
            let (own, material) = match curve {
                "Ed25519" | "Ed448" => public::point(curve, &bytes(jwk, "x")?)?,
                other => {
                    let reason = format!("the key is on the curve {other:?}, which makes no signatures");
                    return Err(InvalidTokenKey::not_supported(reason));
                }
            };
            (only(own, "a key on Ed25519")?, material)
        }
        other => {
            return Err(InvalidTokenKey::not_supported(format!(
                "the key is of the type {other:?}, and the hub knows oct, RSA, EC and OKP"
            )));
        }
    };
    Ok(Key { id, algorithms, material })
}

/// Whether the key is for signatures.
fn verifies(jwk: &Map<String, Value>) -> Result<(), InvalidTokenKey> {
    let not_for_signatures = |name: &str, value: &Value| {
        InvalidTokenKey::not_supported(format!("the key is not for signatures: {name} is {value}"))
    };
    match jwk.get("use") {
        Some(Value::String(purpose)) if purpose == "sig" => {}
        None => {}
        Some(other) => return Err(not_for_signatures("use", other)),
    }
    match jwk.get("key_ops") {
        Some(Value::Array(operations)) if operations.iter().any(|one| one == "verify" || one == "sign") => {}
        None => {}
        Some(other) => return Err(not_for_signatures("key_ops", other)),
    }
    Ok(())
}

/// The algorithm that the key says it is for.
fn algorithm(jwk: &Map<String, Value>) -> Result<Option<Algorithm>, InvalidTokenKey> {
    let Some(value) = jwk.get("alg") else { return Ok(None) };
    if let Some(algorithm) = value.as_str().and_then(Algorithm::parse) {
        return Ok(Some(algorithm));
    }
    let why = NOT_SUPPORTED.iter().find(|(name, _)| value == name).map(|(_, why)| (*why).to_owned());
    Err(InvalidTokenKey::not_supported(
        why.unwrap_or_else(|| format!("the key is not for signatures: alg is {value}")),
    ))
}

fn text<'a>(jwk: &'a Map<String, Value>, name: &str) -> Result<&'a str, InvalidTokenKey> {
    let value = jwk.get(name).and_then(Value::as_str);
    value.ok_or_else(|| InvalidTokenKey::malformed(format!("its member {name} is missing, or no text")))
}

/// A member that is bytes in base64url.
fn bytes(jwk: &Map<String, Value>, name: &str) -> Result<Vec<u8>, InvalidTokenKey> {
    URL_SAFE_NO_PAD.decode(text(jwk, name)?).map_err(|_| {
        InvalidTokenKey::malformed(format!("its member {name} is not base64url without padding"))
    })
}
