//! A publisher's name for one publish.

use std::{fmt, sync::Arc};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::digest;

/// A publisher's name for one publish, so that repeating it appends nothing.
///
/// Two publishers that the hub knows by their subjects have different keys, even if they choose the same text.
///
/// A key belongs to a topic: the first one of the update that it is appended with. It is kept as long as the record, and
/// remembered for a while after that ([`Retention::names`](super::Retention::names)).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(Arc<str>);

impl IdempotencyKey {
    /// The longest key that a publisher may choose, in bytes.
    pub const MAX_BYTES: usize = 255;

    /// Stands before the number of a numbered key. No key that a publisher chooses has it.
    const NUMBER: char = '\u{1f}';

    /// Stands after the publisher of a key that is one publisher's own. No key that a publisher chooses has it.
    const OWNER: char = '\u{1e}';

    /// Takes 1 to 255 bytes of printable ASCII.
    ///
    /// # Errors
    /// [`InvalidKey`] for anything else.
    pub fn parse(text: &str) -> Result<IdempotencyKey, InvalidKey> {
        let printable = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        if text.is_empty() || text.len() > IdempotencyKey::MAX_BYTES || !printable {
            return Err(InvalidKey { text: text.into() });
        }
        Ok(IdempotencyKey(text.into()))
    }

    /// The key of the `number`th update (from 1) of a publish that has many. It is no key that [`parse`](Self::parse)
    /// takes, so it is never taken for that of another publish.
    pub fn numbered(&self, number: u64) -> IdempotencyKey {
        IdempotencyKey(format!("{}{}{number}", self.0, IdempotencyKey::NUMBER).into())
    }

    /// The same key of one publisher: it is never taken for the key of another publisher, or of nobody.
    pub(crate) fn owned(&self, owner: &KeyOwner) -> IdempotencyKey {
        IdempotencyKey(format!("{}{}{}", owner.0, IdempotencyKey::OWNER, self.0).into())
    }

    /// Reads back what [`as_str`](Self::as_str) gave: numbered or not, of a publisher or of nobody.
    ///
    /// # Errors
    /// [`InvalidKey`] for anything else.
    pub(crate) fn stored(text: &str) -> Result<IdempotencyKey, InvalidKey> {
        let invalid = || InvalidKey { text: text.into() };
        if let Some((owner, key)) = text.split_once(IdempotencyKey::OWNER) {
            let owner = KeyOwner::stored(owner).filter(|_| !key.contains(IdempotencyKey::OWNER));
            return Ok(IdempotencyKey::stored(key)?.owned(&owner.ok_or_else(invalid)?));
        }
        match text.split_once(IdempotencyKey::NUMBER) {
            Some((key, number)) => {
                let key = IdempotencyKey::parse(key)?.numbered(number.parse().map_err(|_| invalid())?);
                if key.as_str() == text { Ok(key) } else { Err(invalid()) }
            }
            None => IdempotencyKey::parse(text).or_else(|invalid| {
                // Earlier versions wrote a numbered key with `#`, and its number came on top of the key's length.
                let former = IdempotencyKey(text.into());
                let number = former.0.rsplit_once('#').filter(|_| former.formerly_numbered().is_some());
                number
                    .is_some_and(|(key, _)| IdempotencyKey::parse(key).is_ok())
                    .then_some(former)
                    .ok_or(invalid)
            }),
        }
    }

    /// A key `K#1` as the numbered key that earlier versions wrote so; `None` for any other. Those versions knew no publishers.
    pub(crate) fn formerly_numbered(&self) -> Option<IdempotencyKey> {
        if self.0.contains(IdempotencyKey::OWNER) {
            return None;
        }
        let (key, number) = self.0.rsplit_once('#')?;
        let is_number = number.bytes().all(|digit| digit.is_ascii_digit()) && !number.starts_with('0');
        let is_numbered = is_number && !number.is_empty() && !key.is_empty();
        is_numbered.then(|| IdempotencyKey(format!("{key}{}{number}", IdempotencyKey::NUMBER).into()))
    }

    /// The key's text, as it is stored: a control character stands before its number, and another one after its publisher.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text of a stored key, as it was sent.
    pub(super) fn as_sent(stored: &str) -> String {
        let key = stored.split_once(IdempotencyKey::OWNER).map_or(stored, |(_, key)| key);
        key.replace(IdempotencyKey::NUMBER, "#")
    }
}

/// The publisher whose own a key is: a digest, so that a log does not say who its publishers are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyOwner(String);

impl KeyOwner {
    /// How much of the digest counts.
    const BYTES: usize = 16;

    /// The publisher whom `issuer` knows by `name`.
    pub(crate) fn of(issuer: &str, name: &str) -> KeyOwner {
        let mut digest = digest::Context::new(&digest::SHA256);
        for part in [issuer, name] {
            // With their lengths, so that no two publishers are the same bytes.
            digest.update(&(part.len() as u64).to_be_bytes());
            digest.update(part.as_bytes());
        }
        KeyOwner(URL_SAFE_NO_PAD.encode(&digest.finish().as_ref()[..KeyOwner::BYTES]))
    }

    fn stored(text: &str) -> Option<KeyOwner> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        (bytes.len() == KeyOwner::BYTES).then(|| KeyOwner(text.to_owned()))
    }
}

/// The key as it was sent; the number of an update follows after `#`.
impl fmt::Display for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&IdempotencyKey::as_sent(&self.0))
    }
}

/// A text that is no [`IdempotencyKey`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("idempotency key {text:?} is not 1 to {} bytes of printable ASCII", IdempotencyKey::MAX_BYTES)]
pub struct InvalidKey {
    text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_publishers_own_key_reads_back_and_is_shown_as_it_was_sent() {
        let key = IdempotencyKey::parse("K#1").unwrap();
        let owners = [KeyOwner::of("a", "bc"), KeyOwner::of("ab", "c"), KeyOwner::of("", "abc")];
        for (owner, other) in [(0, 1), (1, 2), (2, 0)] {
            let owned = key.owned(&owners[owner]);
            assert_ne!(owned, key.owned(&owners[other]));
            for owned in [owned.clone(), owned.numbered(3)] {
                assert_eq!(IdempotencyKey::stored(owned.as_str()), Ok(owned.clone()));
                assert_eq!(owned.formerly_numbered(), None);
                assert!(IdempotencyKey::parse(owned.as_str()).is_err(), "nobody can choose it");
            }
            assert_eq!((owned.to_string(), owned.numbered(3).to_string()), ("K#1".into(), "K#1#3".into()));
        }
        let owner = &owners[0].0;
        for text in
            ["\u{1e}K", "x\u{1e}K", &format!("{owner}\u{1e}"), &format!("{owner}\u{1e}{owner}\u{1e}K")]
        {
            assert!(IdempotencyKey::stored(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_key_that_was_numbered_reads_back_in_both_spellings_whatever_its_length() {
        for key in ["K".to_owned(), "K".repeat(IdempotencyKey::MAX_BYTES)] {
            let numbered = IdempotencyKey::parse(&key).unwrap().numbered(10);
            assert_eq!(IdempotencyKey::stored(numbered.as_str()), Ok(numbered.clone()));
            let former = IdempotencyKey::stored(&format!("{key}#10")).unwrap();
            assert_eq!(former.as_str(), format!("{key}#10"));
            assert_eq!(former.formerly_numbered(), Some(numbered));
        }
        let longest = "K".repeat(IdempotencyKey::MAX_BYTES);
        for text in
            [format!("{longest}K"), format!("{longest}K#1"), format!("{longest}#01"), format!("{longest}#")]
        {
            assert!(IdempotencyKey::stored(&text).is_err(), "{text}");
        }
    }
}
