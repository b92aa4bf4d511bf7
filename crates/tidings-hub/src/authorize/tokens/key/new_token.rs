//! A token that is to be made.

use std::{
    io,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value};

use crate::{Matchers, Right, Subject};

/// A token that a [`TokenKey`](crate::TokenKey) is to sign. It begins now, and allows nothing at first.
///
/// ```
/// use std::time::Duration;
///
/// use tidings_hub::{Matchers, NewToken, TokenKey};
///
/// let key = TokenKey::parse(b"3q2-7wAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")?;
/// let token = NewToken::new(Duration::from_secs(900)).with_publish(&Matchers::parse(["orders/*"])?).with_random_id()?;
/// assert_eq!(key.sign(&token).split('.').count(), 3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct NewToken {
    claims: Map<String, Value>,
    own: Map<String, Value>,
}

impl NewToken {
    /// One that holds for so long from now on, in whole seconds.
    pub fn new(life: Duration) -> NewToken {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let times = [("iat", now), ("exp", now.saturating_add(life.as_secs()))];
        let claims = times.into_iter().map(|(name, time)| (name.to_owned(), time.into())).collect();
        NewToken { claims, own: Map::new() }
    }

    /// Its bearer may publish to these topics.
    #[must_use]
    pub fn with_publish(self, topics: &Matchers) -> NewToken {
        self.with_own("publish", topics.iter().map(|topic| topic.to_string()))
    }

    /// Its bearer may read these topics with their private updates.
    #[must_use]
    pub fn with_read(self, topics: &Matchers) -> NewToken {
        self.with_own("read", topics.iter().map(|topic| topic.to_string()))
    }

    /// Its bearer has these rights.
    #[must_use]
    pub fn with_rights(self, rights: impl IntoIterator<Item = Right>) -> NewToken {
        self.with_own("rights", rights.into_iter().map(|right| right.as_str().to_owned()))
    }

    /// Says whose it is.
    #[must_use]
    pub fn with_subject(self, subject: &Subject) -> NewToken {
        let token = self.with_claim("sub", subject.name());
        match subject.issuer() {
            "" => token,
            issuer => token.with_claim("iss", issuer),
        }
    }

    /// Says which hubs it is for.
    #[must_use]
    pub fn with_audience<T: Into<String>>(self, names: impl IntoIterator<Item = T>) -> NewToken {
        let names: Vec<_> = names.into_iter().map(|name| Value::String(name.into())).collect();
        match &names[..] {
            [] => self,
            [one] => self.with_claim("aud", one.clone()),
            _ => self.with_claim("aud", names),
        }
    }

    /// Gives it an ID (`jti`) of 128 random bits, by which it can be found in logs, and revoked.
    ///
    /// # Errors
    /// When the operating system has no randomness.
    pub fn with_random_id(self) -> io::Result<NewToken> {
        let mut id = [0; 16];
        getrandom::fill(&mut id).map_err(|error| io::Error::other(error.to_string()))?;
        Ok(self.with_claim("jti", URL_SAFE_NO_PAD.encode(id)))
    }

    /// Says something else, also about itself. The last value of a claim counts.
    #[must_use]
    pub fn with_claim(mut self, name: &str, value: impl Into<Value>) -> NewToken {
        self.claims.insert(name.to_owned(), value.into());
        self
    }

    fn with_own(mut self, member: &str, texts: impl Iterator<Item = String>) -> NewToken {
        let texts: Vec<_> = texts.map(Value::String).collect();
        if !texts.is_empty() {
            self.own.insert(member.to_owned(), texts.into());
        }
        self
    }

    /// The claims as text.
    pub(super) fn to_text(&self) -> String {
        let mut claims = self.claims.clone();
        if !self.own.is_empty() {
            claims.insert("tidings".to_owned(), self.own.clone().into());
        }
        Value::Object(claims).to_string()
    }
}
