//! Keys, and the signatures that they verify.

mod invalid;
mod jwk;
mod new_token;
mod pem;
mod public;
mod secret;
mod set;

use std::fmt;

use ring::{
    digest, hmac,
    signature::{self, RsaPublicKeyComponents, UnparsedPublicKey},
};

pub use self::{invalid::InvalidTokenKey, new_token::NewToken, secret::TokenKey, set::TokenKeys};
pub(super) use self::{jwk::MAX_ID_BYTES, set::MAX_KEYS_BYTES};
use super::algorithm::Algorithm;

/// A key that verifies signatures.
#[derive(Clone)]
pub(super) struct Key {
    /// The name by which tokens choose it (`kid`).
    pub(super) id: Option<Box<str>>,
    /// Its algorithms. A token has to name one of them. A secret has one, and so has each key that does not come from a JSON Web Key.
    pub(super) algorithms: Vec<Algorithm>,
    pub(super) material: Material,
}

impl Key {
    /// All that tells it from other keys, without a secret.
    fn identity(&self) -> Vec<u8> {
        let mut identity = format!("{:?} {:?} ", self.id, self.algorithms).into_bytes();
        match &self.material {
            // Keys of HMAC do not show what they are. Their tags do.
            Material::Secret(key) => identity.extend_from_slice(hmac::sign(key, b"identity").as_ref()),
            Material::Rsa(key) => {
                identity.extend_from_slice(&key.e);
                identity.push(0);
                identity.extend_from_slice(&key.n);
            }
            Material::Point(point) => identity.extend_from_slice(point),
        }
        identity
    }
}

/// The first 64 bits of a SHA-256 over texts, in any order; never 0.
pub(super) fn fingerprint<'a>(texts: impl IntoIterator<Item = &'a [u8]>) -> u64 {
    let hash = |text: &[u8]| {
        let hash = digest::digest(&digest::SHA256, text);
        u64::from_be_bytes(std::array::from_fn(|place| hash.as_ref()[place]))
    };
    let all: Vec<u8> = {
        let mut each: Vec<u64> = texts.into_iter().map(hash).collect();
        each.sort_unstable();
        each.into_iter().flat_map(u64::to_be_bytes).collect()
    };
    hash(&all).max(1)
}

/// The part of a key that a signature is computed with.
#[derive(Clone)]
pub(super) enum Material {
    /// For the one algorithm of its key.
    Secret(hmac::Key),
    Rsa(RsaPublicKeyComponents<Box<[u8]>>),
    /// A point of an elliptic curve, as `ring` reads it.
    Point(Box<[u8]>),
}

impl Key {
    /// Whether everyone may have it. The owner of its other half may also sign tokens for other services.
    pub(super) fn is_public(&self) -> bool {
        !matches!(self.material, Material::Secret(_))
    }

    /// Whether `signature` is that of `signed`. For a secret it takes as long for each that is not.
    pub(super) fn has_signed(&self, algorithm: Algorithm, signed: &[u8], signature: &[u8]) -> bool {
        if !self.algorithms.contains(&algorithm) {
            return false;
        }
        let rsa = match algorithm {
            Algorithm::Rs256 => &signature::RSA_PKCS1_2048_8192_SHA256,
            Algorithm::Rs384 => &signature::RSA_PKCS1_2048_8192_SHA384,
            Algorithm::Rs512 => &signature::RSA_PKCS1_2048_8192_SHA512,
            Algorithm::Ps256 => &signature::RSA_PSS_2048_8192_SHA256,
            Algorithm::Ps384 => &signature::RSA_PSS_2048_8192_SHA384,
            Algorithm::Ps512 => &signature::RSA_PSS_2048_8192_SHA512,
            Algorithm::Es256 => return self.point(&signature::ECDSA_P256_SHA256_FIXED, signed, signature),
            Algorithm::Es384 => return self.point(&signature::ECDSA_P384_SHA384_FIXED, signed, signature),
            Algorithm::EdDsa => return self.point(&signature::ED25519, signed, signature),
            Algorithm::Hs256 | Algorithm::Hs384 | Algorithm::Hs512 => {
                return matches!(&self.material, Material::Secret(key)
                    if hmac::verify(key, signed, signature).is_ok());
            }
        };
        matches!(&self.material, Material::Rsa(key) if key.verify(rsa, signed, signature).is_ok())
    }

    fn point(
        &self,
        algorithm: &'static dyn signature::VerificationAlgorithm,
        signed: &[u8],
        signature: &[u8],
    ) -> bool {
        matches!(&self.material, Material::Point(point)
            if UnparsedPublicKey::new(algorithm, point).verify(signed, signature).is_ok())
    }
}

/// Without the key itself.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("id", &self.id)
            .field("algorithms", &self.algorithms)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
