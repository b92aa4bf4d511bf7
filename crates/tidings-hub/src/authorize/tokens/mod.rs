//! Tokens that the holder of a key has made: JSON Web Tokens that say which topics their bearer may publish to and read.

mod claims;
mod json;
mod jws;
mod key;
mod refusal;

use std::{future::ready, time::SystemTime};

use http::{header, request::Parts};

pub use self::{
    claims::MAX_TOKEN_LIFE,
    key::{InvalidTokenKey, TokenKey},
};
use self::{claims::Rules, refusal::Refusal};
use super::{Authorizer, Authorizing, Denial, Grant};

/// Grants what the token of a request says, if it was made with the hub's key.
///
/// A token is a JSON Web Token that is signed with HS256, in the header `Authorization: Bearer …`. Any JWT library makes one. Its
/// claims are `exp`, which it must have, and `tidings`, such as
/// `{"publish": ["orders/*"], "read": ["users/alice/*"]}`; `sub` says whose it is. Its bearer receives the private updates of the
/// topics under `read`, too.
///
/// ```
/// use std::{sync::Arc, time::Duration};
///
/// use tidings_hub::{Access, Grant, Matchers, Settings, TokenKey, Tokens};
///
/// let key = TokenKey::parse(b"3q2-7wAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")?;
/// let backend = key.mint(&Matchers::parse(["orders/*"])?, &Matchers::none(), None, Duration::from_secs(3600));
/// // Everyone may read what is public.
/// let tokens = Tokens::new(key).with_anonymous(Grant::default().with_read(Matchers::all()));
/// let mut settings = Settings::default();
/// settings.access = Access::Authorizer(Arc::new(tokens));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Tokens {
    key: TokenKey,
    rules: Rules,
    anonymous: Grant,
}

impl Tokens {
    /// Takes tokens that were made with this key. A request without a token may do nothing.
    pub fn new(key: TokenKey) -> Tokens {
        Tokens { key, rules: Rules::default(), anonymous: Grant::default() }
    }

    /// Grants this to a request without a token. The bearer of a token may do it, too.
    #[must_use]
    pub fn with_anonymous(self, anonymous: Grant) -> Tokens {
        Tokens { anonymous, ..self }
    }

    /// Takes tokens that are for this audience, too. A token that names its audience (`aud`) has to name one of these; without any, it
    /// may name none.
    #[must_use]
    pub fn with_audience(mut self, name: impl Into<String>) -> Tokens {
        self.rules.audience.push(name.into());
        self
    }

    fn judge(&self, request: &Parts) -> Result<Grant, Denial> {
        let mut credentials = request.headers.get_all(header::AUTHORIZATION).iter();
        match (credentials.next(), credentials.next()) {
            (None, _) => Ok(self.anonymous.clone()),
            (Some(value), None) => {
                let judged = bearer(value.as_bytes()).and_then(|token| self.read(token, SystemTime::now()));
                judged.map_err(Refusal::into_denial)
            }
            _ => Err(Refusal::before("token-malformed", "there are two Authorization headers").into_denial()),
        }
    }

    fn read(&self, token: &str, now: SystemTime) -> Result<Grant, Refusal> {
        let verified = jws::verify(token, &self.key)?;
        let grant = self.rules.grant(&verified, now)?;
        // What everyone may do, its bearer may, too.
        Ok(grant
            .with_publish(self.anonymous.publish().clone())
            .with_read(self.anonymous.read().clone())
            .with_private(self.anonymous.private().clone()))
    }
}

impl Authorizer for Tokens {
    fn authorize<'a>(&'a self, request: &'a Parts) -> Authorizing<'a> {
        Box::pin(ready(self.judge(request)))
    }

    fn asks_for_token(&self) -> bool {
        true
    }
}

/// The token in the value of an `Authorization` header.
fn bearer(value: &[u8]) -> Result<&str, Refusal> {
    let text = std::str::from_utf8(value).ok();
    let parts = text.and_then(|text| text.trim().split_once(' '));
    match parts {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(token.trim()),
        _ => Err(Refusal::before("token-malformed", "Authorization is not 'Bearer', a space, and a token")),
    }
}

#[cfg(test)]
mod tests;
