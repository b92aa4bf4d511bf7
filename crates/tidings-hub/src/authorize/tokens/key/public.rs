//! Public keys in the form that `ring` computes with, and the bounds that a key has to keep.

use ring::signature::RsaPublicKeyComponents;

use super::{InvalidTokenKey, Material};
use crate::authorize::tokens::algorithm::Algorithm;

/// The bounds of an RSA modulus. `ring` verifies no others.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// An RSA key of a modulus and an exponent, both with their highest byte first. Zeros before that do not count.
pub(super) fn rsa(modulus: &[u8], exponent: &[u8]) -> Result<Material, InvalidTokenKey> {
    let (modulus, exponent) = (without_zeros(modulus), without_zeros(exponent));
    let bits = bits(modulus);
    if !RSA_BITS.contains(&bits) {
        let (least, most) = (RSA_BITS.start(), RSA_BITS.end());
        return Err(InvalidTokenKey::not_supported(format!(
            "the RSA key has {bits} bits, and the hub takes {least} to {most}; make a longer one, or an Ed25519 key"
        )));
    }
    let is_odd = |number: &[u8]| number.last().is_some_and(|last| last & 1 == 1);
    // 33 bits are the most that ring reads.
    if !is_odd(exponent) || exponent == [1] || self::bits(exponent) > 33 {
        return Err(InvalidTokenKey::malformed("its exponent is not an odd number from 3 to 2^33"));
    }
    if !is_odd(modulus) {
        return Err(InvalidTokenKey::malformed("its modulus is even"));
    }
    Ok(Material::Rsa(RsaPublicKeyComponents { n: modulus.into(), e: exponent.into() }))
}

/// The algorithm and the material of a point on a curve that JSON Web Keys call `curve`. A point of two numbers begins with a 4.
pub(super) fn point(curve: &str, point: &[u8]) -> Result<(Algorithm, Material), InvalidTokenKey> {
    let (algorithm, bytes, is_pair) = match curve {
        "P-256" => (Algorithm::Es256, 65, true),
        "P-384" => (Algorithm::Es384, 97, true),
        "Ed25519" => (Algorithm::EdDsa, 32, false),
        "P-521" => {
            return Err(InvalidTokenKey::not_supported(
                "the key is on the curve P-521, and ES512 is not supported; use P-256, P-384 or Ed25519",
            ));
        }
        other => {
            return Err(InvalidTokenKey::not_supported(format!(
                "the key is on the curve {other:?}, which is not supported; use P-256, P-384 or Ed25519"
            )));
        }
    };
    if is_pair && matches!(point, [2 | 3, ..]) {
        return Err(InvalidTokenKey::not_supported(
            "its point is compressed; write it with -conv_form uncompressed",
        ));
    }
    if point.len() != bytes || (is_pair && point[0] != 4) {
        let reason = format!("its point has {} bytes, and one on {curve} has {bytes}", point.len());
        return Err(InvalidTokenKey::malformed(reason));
    }
    Ok((algorithm, Material::Point(point.into())))
}

fn without_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    &number[zeros..]
}

fn bits(number: &[u8]) -> usize {
    number.first().map_or(0, |first| number.len() * 8 - first.leading_zeros() as usize)
}
