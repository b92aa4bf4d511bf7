//! All keys of one issuer.

use std::sync::Arc;

use serde_json::Value;

use super::{InvalidTokenKey, Key, jwk, pem, secret};
use crate::authorize::tokens::{algorithm::Algorithm, json};

/// The most keys of a set.
const MAX_KEYS: usize = 100;

/// The largest file or document of keys, in bytes.
pub(in crate::authorize::tokens) const MAX_KEYS_BYTES: usize = 1 << 20;

/// The keys that tokens of one issuer are verified with: a secret, a public key, or a JSON Web Key Set. Cheap to clone.
///
/// ```
/// use tidings_hub::{TokenKeys, Tokens};
///
/// let pem = "-----BEGIN PUBLIC KEY-----
/// MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=
/// -----END PUBLIC KEY-----";
/// let keys = TokenKeys::parse(pem.as_bytes())?;
/// let tokens = Tokens::new(keys).with_audience("https://hub.example");
/// # Ok::<(), tidings_hub::InvalidTokenKey>(())
/// ```
#[derive(Debug, Clone)]
pub struct TokenKeys {
    keys: Arc<[Key]>,
    is_set: bool,
    skipped: usize,
}

impl TokenKeys {
    /// A number for them. Sets with the same number verify the same tokens.
    pub(in super::super) fn fingerprint(&self) -> u64 {
        let keys: Vec<_> = self.keys.iter().map(Key::identity).collect();
        super::fingerprint(keys.iter().map(|key| &key[..]))
    }

    /// Reads the text of a file with keys.
    ///
    /// | Text | Algorithm |
    /// |---|---|
    /// | a public key in PEM (`BEGIN PUBLIC KEY`) | RS256, ES256, ES384 or EdDSA, by its kind |
    /// | a JSON Web Key | its `alg`; without one, what its `kty` and `crv` allow |
    /// | a JSON Web Key Set, at most 100 keys | for each key as above |
    /// | anything else is a secret of at least 32 bytes | HS256 |
    ///
    /// In a set, keys for something else than signatures, and of kinds that the hub does not know, are passed over and
    /// [counted](Self::skipped).
    ///
    /// # Errors
    /// [`InvalidTokenKey`] for a short secret, RSA keys below 2048 bits, P-521, a private key, a text that is cut off, and a set of which
    /// no key can be used.
    pub fn parse(text: &[u8]) -> Result<TokenKeys, InvalidTokenKey> {
        TokenKeys::read(text, None)
    }

    /// The same for a secret or an RSA key that is used with another algorithm, such as `HS512` or `PS256`.
    ///
    /// # Errors
    /// [`InvalidTokenKey`] also for an algorithm that is unknown, or not for this kind of key.
    pub fn parse_for(text: &[u8], algorithm: &str) -> Result<TokenKeys, InvalidTokenKey> {
        let known = Algorithm::parse(algorithm);
        let known = known.ok_or_else(|| {
            InvalidTokenKey::not_supported(format!("{algorithm:?} is no algorithm that the hub verifies"))
        })?;
        TokenKeys::read(text, Some(known))
    }

    fn read(text: &[u8], algorithm: Option<Algorithm>) -> Result<TokenKeys, InvalidTokenKey> {
        if text.len() > MAX_KEYS_BYTES {
            let reason = format!("it has {} bytes, and at most {MAX_KEYS_BYTES} are read", text.len());
            return Err(InvalidTokenKey::malformed(reason));
        }
        let text = text.trim_ascii();
        match text {
            // Text may stand before a key in PEM, and a secret has no such line.
            _ if text.windows(11).any(|window| window == b"-----BEGIN ") => {
                Ok(TokenKeys::one(pem::read(text, algorithm)?))
            }
            [b'{', ..] => {
                let keys = TokenKeys::of_json(text)?;
                match algorithm {
                    Some(algorithm) => keys.only(algorithm),
                    None => Ok(keys),
                }
            }
            secret => Ok(TokenKeys::one(secret::key(secret, algorithm.unwrap_or(Algorithm::Hs256))?)),
        }
    }

    /// Reads a JSON Web Key, or a set of them.
    pub(in crate::authorize::tokens) fn of_json(text: &[u8]) -> Result<TokenKeys, InvalidTokenKey> {
        let document = json::object(text).map_err(|what| InvalidTokenKey::malformed(format!("it {what}")))?;
        let Some(list) = document.get("keys") else { return Ok(TokenKeys::one(jwk::read(&document)?)) };
        let Value::Array(list) = list else {
            return Err(InvalidTokenKey::malformed("its member keys is no list"));
        };
        if list.len() > MAX_KEYS {
            let reason = format!("the set has {} keys; at most {MAX_KEYS} are allowed", list.len());
            return Err(InvalidTokenKey::not_supported(reason));
        }
        let read = |key: &Value| match key {
            Value::Object(key) => jwk::read(key),
            _ => Err(InvalidTokenKey::malformed("a key is no JSON object")),
        };
        let (mut keys, mut first_problem) = (Vec::new(), None);
        for key in list {
            match read(key) {
                Ok(key) => keys.push(key),
                Err(problem) => drop(first_problem.get_or_insert(problem)),
            }
        }
        if keys.is_empty() {
            let first = first_problem.map_or("it is empty".to_owned(), |problem| problem.to_string());
            return Err(InvalidTokenKey::not_supported(format!("no key of the set can be used: {first}")));
        }
        let skipped = list.len() - keys.len();
        Ok(TokenKeys { keys: keys.into(), is_set: true, skipped })
    }

    pub(super) fn one(key: Key) -> TokenKeys {
        TokenKeys { keys: [key].into(), is_set: false, skipped: 0 }
    }

    fn only(self, algorithm: Algorithm) -> Result<TokenKeys, InvalidTokenKey> {
        let narrowed = self.keys.iter().filter(|key| key.algorithms.contains(&algorithm));
        let keys: Vec<_> = narrowed.map(|key| Key { algorithms: vec![algorithm], ..key.clone() }).collect();
        match keys.is_empty() {
            true => Err(InvalidTokenKey::not_supported(format!("no key is for {}", algorithm.as_str()))),
            false => Ok(TokenKeys { keys: keys.into(), ..self }),
        }
    }

    /// How many keys there are.
    pub fn count(&self) -> usize {
        self.keys.len()
    }

    /// How many keys of the set cannot be used.
    pub fn skipped(&self) -> usize {
        self.skipped
    }

    /// Whether there is a public key. Its other half may sign tokens for other services, so a token has to name the hub (`aud`).
    pub fn has_public(&self) -> bool {
        self.keys.iter().any(Key::is_public)
    }

    /// Whether there is a secret. Its holders can make tokens.
    pub fn has_secret(&self) -> bool {
        !self.keys.iter().all(Key::is_public)
    }

    /// Whether they came as a JSON Web Key Set, as identity providers publish them.
    pub(in crate::authorize::tokens) fn is_set(&self) -> bool {
        self.is_set
    }

    pub(in crate::authorize::tokens) fn iter(&self) -> std::slice::Iter<'_, Key> {
        self.keys.iter()
    }
}
