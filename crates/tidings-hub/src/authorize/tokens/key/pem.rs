//! A public key in PEM (RFC 7468, "Textual Encoding of Subject Public Key Info").

use rustls_pki_types::{
    alg_id,
    pem::{PemObject, SectionKind},
};

use super::{InvalidTokenKey, Key, public};
use crate::authorize::tokens::algorithm::Algorithm;

/// The tags of DER that a public key is made of.
const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;

/// Reads the one key of a text. An RSA key is for RS256, unless `algorithm` is another one of RSA.
pub(super) fn read(text: &[u8], algorithm: Option<Algorithm>) -> Result<Key, InvalidTokenKey> {
    let (mut public, mut other) = (None, None);
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(text) {
        let (kind, der) =
            section.map_err(|_| InvalidTokenKey::malformed("it is no PEM, or it is cut off"))?;
        match kind {
            SectionKind::PrivateKey => return Err(InvalidTokenKey::Private { what: "PRIVATE KEY" }),
            SectionKind::RsaPrivateKey => return Err(InvalidTokenKey::Private { what: "RSA PRIVATE KEY" }),
            SectionKind::EcPrivateKey => return Err(InvalidTokenKey::Private { what: "EC PRIVATE KEY" }),
            SectionKind::PublicKey if public.is_some() => {
                return Err(InvalidTokenKey::not_supported(
                    "the file has several keys; a JSON Web Key Set holds several, each with a kid",
                ));
            }
            SectionKind::PublicKey => public = Some(der),
            SectionKind::Certificate => other = Some("a certificate: openssl x509 -in FILE -noout -pubkey"),
            _ => {}
        }
    }
    // A label that the reader does not know is passed over.
    let other = other.or_else(|| {
        [
            ("RSA PUBLIC KEY", "an RSA PUBLIC KEY: openssl rsa -RSAPublicKey_in -in FILE -pubout"),
            ("ENCRYPTED PRIVATE KEY", "an encrypted private key: openssl pkey -in FILE -pubout"),
            ("OPENSSH PRIVATE KEY", "a key of OpenSSH: ssh-keygen -e -m PKCS8 -f FILE"),
        ]
        .into_iter()
        .find(|(label, _)| contains(text, label.as_bytes()))
        .map(|(_, what)| what)
    });
    let der = match (public, other) {
        (Some(der), _) => der,
        (None, Some(what)) => {
            return Err(InvalidTokenKey::not_supported(format!(
                "the hub takes a PUBLIC KEY, and the file has {what}"
            )));
        }
        (None, None) => return Err(InvalidTokenKey::malformed("there is no PUBLIC KEY in it")),
    };
    of_info(&der, algorithm)
}

/// Reads a `SubjectPublicKeyInfo` (RFC 5280, section 4.1).
fn of_info(der: &[u8], algorithm: Option<Algorithm>) -> Result<Key, InvalidTokenKey> {
    let malformed = || InvalidTokenKey::malformed("it is no SubjectPublicKeyInfo in DER");
    let (info, rest) = element(SEQUENCE, der).ok_or_else(malformed)?;
    let (identifier, info) = element(SEQUENCE, info).ok_or_else(malformed)?;
    // The first byte of a bit string says how many of the last bits do not count.
    let Some(([0, bits @ ..], [])) = element(BIT_STRING, info) else { return Err(malformed()) };
    if !rest.is_empty() {
        return Err(malformed());
    }
    if identifier == &*alg_id::RSA_ENCRYPTION {
        let (numbers, rest) = element(SEQUENCE, bits).ok_or_else(malformed)?;
        let (modulus, numbers) = element(INTEGER, numbers).ok_or_else(malformed)?;
        let Some((exponent, [])) = element(INTEGER, numbers) else { return Err(malformed()) };
        let is_negative = |number: &[u8]| number.first().is_none_or(|first| first & 0x80 != 0);
        if !rest.is_empty() || is_negative(modulus) || is_negative(exponent) {
            return Err(malformed());
        }
        let algorithm = algorithm.unwrap_or(Algorithm::Rs256);
        if !Algorithm::OF_RSA.contains(&algorithm) {
            return Err(of_another_kind("an RSA key", algorithm));
        }
        return Ok(Key { id: None, algorithms: vec![algorithm], material: public::rsa(modulus, exponent)? });
    }
    let curve = [
        (alg_id::ECDSA_P256, "P-256"),
        (alg_id::ECDSA_P384, "P-384"),
        (alg_id::ECDSA_P521, "P-521"),
        (alg_id::ED25519, "Ed25519"),
        (alg_id::ED448, "Ed448"),
        (alg_id::ECDSA_P256K1, "secp256k1"),
    ]
    .into_iter()
    .find(|(known, _)| identifier == &**known);
    let Some((_, curve)) = curve else {
        return Err(InvalidTokenKey::not_supported(
            "the key is of a kind that is not supported; use RSA, P-256, P-384 or Ed25519",
        ));
    };
    let (own, material) = public::point(curve, bits)?;
    match algorithm {
        Some(other) if other != own => Err(of_another_kind(&format!("a key on {curve}"), other)),
        _ => Ok(Key { id: None, algorithms: vec![own], material }),
    }
}

/// The error of a key that is not for an algorithm.
pub(super) fn of_another_kind(what: &str, algorithm: Algorithm) -> InvalidTokenKey {
    InvalidTokenKey::not_supported(format!("{} is not for {what}", algorithm.as_str()))
}

/// The content of the first element of `der`, if it has this tag, and what follows it. Only the short forms of a length are read: a
/// key has at most 64 KiB, and DER has one form for each length.
fn element(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = match der {
        [first, short @ 0..=0x7f, rest @ ..] if *first == tag => (usize::from(*short), rest),
        [first, 0x81, one @ 0x80..=0xff, rest @ ..] if *first == tag => (usize::from(*one), rest),
        [first, 0x82, high @ 1..=0xff, low, rest @ ..] if *first == tag => {
            (usize::from(*high) << 8 | usize::from(*low), rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}
