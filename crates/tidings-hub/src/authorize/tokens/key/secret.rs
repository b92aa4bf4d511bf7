//! Secrets: a program that has one can make tokens, and the hub verifies them with it.

use std::{fmt, io, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::hmac;
use serde_json::{Value, json};

use super::{InvalidTokenKey, Key, Material, NewToken, TokenKeys, pem::of_another_kind};
use crate::{Matchers, Subject, authorize::tokens::algorithm::Algorithm};

/// The secret that tokens are signed with. Its holders can make tokens, and the hub verifies tokens with it. Cheap to clone.
#[derive(Clone)]
pub struct TokenKey {
    id: Option<Box<str>>,
    algorithm: Algorithm,
    secret: hmac::Key,
}

impl TokenKey {
    /// Takes a secret of at least 32 bytes for HS256, or a JSON Web Key of the type `oct`, whose `alg` may be HS384 (48 bytes) or HS512
    /// (64 bytes). Spaces and line breaks at the beginning and end of a secret do not count, since an editor may have put them there: a
    /// JWT library has to be given the rest.
    ///
    /// # Errors
    /// [`InvalidTokenKey`] for a shorter one, and for a key that is no secret.
    pub fn parse(text: &[u8]) -> Result<TokenKey, InvalidTokenKey> {
        let keys = TokenKeys::parse(text)?;
        let mut keys = keys.iter();
        let what = match (keys.next(), keys.next()) {
            (Some(Key { id, algorithms, material: Material::Secret(secret) }), None) => {
                let algorithm = algorithms.first().copied().unwrap_or(Algorithm::Hs256);
                return Ok(TokenKey { id: id.clone(), algorithm, secret: secret.clone() });
            }
            (Some(_), None) => "a public key",
            _ => "a set of keys",
        };
        Err(InvalidTokenKey::NotASecret { what })
    }

    /// A new secret as text: 256 random bits in 43 characters of base64url, to be kept in a file.
    ///
    /// # Errors
    /// When the operating system has no randomness.
    pub fn new_secret() -> io::Result<String> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).map_err(|error| io::Error::other(error.to_string()))?;
        Ok(URL_SAFE_NO_PAD.encode(secret))
    }

    /// Makes a token for so long from now on. Its bearer may publish to some topics, and read others with their private updates.
    pub fn mint(
        &self,
        publish: &Matchers,
        read: &Matchers,
        subject: Option<&Subject>,
        life: Duration,
    ) -> String {
        let token = NewToken::new(life).with_publish(publish).with_read(read);
        match subject {
            Some(subject) => self.sign(&token.with_subject(subject)),
            None => self.sign(&token),
        }
    }

    /// Makes a token.
    pub fn sign(&self, token: &NewToken) -> String {
        self.sign_text(&self.header(), &token.to_text())
    }

    /// The header of its tokens.
    pub(in crate::authorize::tokens) fn header(&self) -> Value {
        let mut header = json!({ "alg": self.algorithm.as_str(), "typ": "at+jwt" });
        if let Some(id) = &self.id {
            header["kid"] = (**id).into();
        }
        header
    }

    pub(in crate::authorize::tokens) fn sign_text(&self, header: &Value, claims: &str) -> String {
        let signed =
            format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims));
        let signature = hmac::sign(&self.secret, signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

impl From<TokenKey> for TokenKeys {
    fn from(TokenKey { id, algorithm, secret }: TokenKey) -> TokenKeys {
        TokenKeys::one(Key { id, algorithms: vec![algorithm], material: Material::Secret(secret) })
    }
}

/// The key that a secret is.
pub(super) fn key(secret: &[u8], algorithm: Algorithm) -> Result<Key, InvalidTokenKey> {
    Ok(Key { id: None, algorithms: vec![algorithm], material: material(secret, algorithm)? })
}

/// The material of a secret.
pub(super) fn material(secret: &[u8], algorithm: Algorithm) -> Result<Material, InvalidTokenKey> {
    let digest = match algorithm {
        Algorithm::Hs256 => hmac::HMAC_SHA256,
        Algorithm::Hs384 => hmac::HMAC_SHA384,
        Algorithm::Hs512 => hmac::HMAC_SHA512,
        other => return Err(of_another_kind("a secret", other)),
    };
    let at_least = algorithm.min_secret_bytes().unwrap_or_default();
    if secret.len() < at_least {
        let algorithm = algorithm.as_str();
        return Err(InvalidTokenKey::TooShort { algorithm, bytes: secret.len(), at_least });
    }
    Ok(Material::Secret(hmac::Key::new(digest, secret)))
}

/// Without the secret.
impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenKey").finish_non_exhaustive()
    }
}
