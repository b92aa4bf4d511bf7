//! Tokens that the holder of a key has made: JSON Web Tokens that say which topics their bearer may publish to and read.

mod claims;
mod json;
mod jws;
mod key;

use std::time::SystemTime;

use self::claims::Rules;
pub use self::{
    claims::MAX_TOKEN_LIFE,
    key::{InvalidTokenKey, TokenKey},
};
use super::{Accepted, Credential, CredentialKind, Limits, Refusal, Rights};

/// The tokens that a hub accepts: those that were made with its key.
///
/// A token is a JSON Web Token that is signed with HS256, in the header `Authorization: Bearer …`. Any JWT library makes one. Its
/// claims are `exp`, which it must have, and `tidings`, such as
/// `{"publish": ["orders/*"], "read": ["users/alice/*"]}`; `sub` says whose it is. Its bearer receives the private updates of the
/// topics under `read`, too.
#[derive(Debug, Clone)]
pub struct Tokens {
    key: TokenKey,
    rules: Rules,
}

impl Tokens {
    /// Takes tokens that were made with this key.
    pub fn new(key: TokenKey) -> Tokens {
        Tokens { key, rules: Rules::default() }
    }

    /// Takes tokens that are for this audience, too. A token that names its audience (`aud`) has to name one of these; without any, it
    /// may name none.
    #[must_use]
    pub fn with_audience(mut self, name: impl Into<String>) -> Tokens {
        self.rules.audience.push(name.into());
        self
    }

    /// The rights that a token has by itself.
    pub(super) fn accept(&self, token: &str, now: SystemTime) -> Result<Accepted, Refusal> {
        let verified = jws::verify(token, &self.key)?;
        self.rules.accept(token, verified, now)
    }
}

#[cfg(test)]
mod tests;
