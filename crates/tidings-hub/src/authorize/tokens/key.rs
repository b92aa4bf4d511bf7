//! The key that tokens are signed with.

use std::{
    fmt, io,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::hmac;
use serde_json::{Map, Value, json};

use crate::{Matchers, Subject};

/// The secret that tokens are signed with, by HS256: its holders can make tokens, and the hub reads tokens with it.
#[derive(Clone)]
pub struct TokenKey(hmac::Key);

/// The fewest bytes of a secret: as many as the signature has, as RFC 7518 asks.
const MIN_BYTES: usize = 32;

/// Why bytes are no key for tokens.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidTokenKey {
    /// The secret is too short to be safe.
    #[error(
        "the key has {bytes} bytes, and a secret for HS256 has at least {MIN_BYTES}; make one with `tidings token key`"
    )]
    TooShort {
        /// How many bytes it has.
        bytes: usize,
    },
    /// A key in PEM, or a JSON Web Key. To take its text for a secret would be wrong, since a public key is none.
    #[error("the key is {what}, and only a secret is supported; make one with `tidings token key`")]
    NotASecret {
        /// The form of the key.
        what: &'static str,
    },
}

impl TokenKey {
    /// Takes a secret of at least 32 bytes. Spaces and line breaks at its beginning and end do not count, since an editor may have
    /// put them there: a JWT library has to be given the rest.
    ///
    /// # Errors
    /// [`InvalidTokenKey`] for a shorter one, and for a key that is no secret.
    pub fn parse(text: &[u8]) -> Result<TokenKey, InvalidTokenKey> {
        let secret = text.trim_ascii();
        let what = match secret {
            [b'-', b'-', b'-', b'-', b'-', b'B', ..] => Some("in PEM"),
            [b'{', ..] => Some("a JSON Web Key"),
            _ => None,
        };
        match what {
            Some(what) => Err(InvalidTokenKey::NotASecret { what }),
            None if secret.len() < MIN_BYTES => Err(InvalidTokenKey::TooShort { bytes: secret.len() }),
            None => Ok(TokenKey(hmac::Key::new(hmac::HMAC_SHA256, secret))),
        }
    }

    /// A new secret as text: 256 random bits in 43 characters of base64url, to be kept in a file.
    ///
    /// # Errors
    /// When the operating system has no randomness.
    pub fn new_secret() -> io::Result<String> {
        let mut secret = [0; MIN_BYTES];
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
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut claims = Map::new();
        if let Some(subject) = subject {
            claims.insert("sub".into(), subject.name().into());
            if !subject.issuer().is_empty() {
                claims.insert("iss".into(), subject.issuer().into());
            }
        }
        claims.insert("iat".into(), now.into());
        claims.insert("exp".into(), now.saturating_add(life.as_secs()).into());
        let texts =
            |matchers: &Matchers| matchers.iter().map(|matcher| matcher.to_string()).collect::<Vec<_>>();
        let topics = [("publish", texts(publish)), ("read", texts(read))];
        let named = topics.into_iter().filter(|(_, texts)| !texts.is_empty());
        let topics: Map<_, _> = named.map(|(name, texts)| (name.to_owned(), texts.into())).collect();
        claims.insert("tidings".into(), topics.into());
        self.sign(&json!({ "alg": "HS256", "typ": "at+jwt" }), &claims.into())
    }

    pub(super) fn sign(&self, header: &Value, claims: &Value) -> String {
        self.sign_text(header, &claims.to_string())
    }

    pub(super) fn sign_text(&self, header: &Value, claims: &str) -> String {
        let signed =
            format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims));
        let signature = hmac::sign(&self.0, signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// Whether `signature` is that of `signed`. Takes as long for each that is not.
    pub(super) fn has_signed(&self, signed: &[u8], signature: &[u8]) -> bool {
        hmac::verify(&self.0, signed, signature).is_ok()
    }
}

/// Without the secret.
impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenKey").finish_non_exhaustive()
    }
}
