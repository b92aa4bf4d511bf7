//! A publisher's name for one publish.

use std::{fmt, sync::Arc};

/// A publisher's name for one publish, so that repeating it appends nothing.
///
/// A key belongs to a topic: the first one of the update that it is appended with. It is kept as long as the record, and
/// remembered for a while after that ([`Retention::names`](super::Retention::names)).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(Arc<str>);

impl IdempotencyKey {
    /// The longest key that a publisher may choose, in bytes.
    pub const MAX_BYTES: usize = 255;

    /// Stands before the number of a numbered key. No key that a publisher chooses has it.
    pub(super) const NUMBER: char = '\u{1f}';

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

    /// Reads back what [`as_str`](Self::as_str) gave, numbered or not.
    ///
    /// # Errors
    /// [`InvalidKey`] for anything else.
    pub(crate) fn stored(text: &str) -> Result<IdempotencyKey, InvalidKey> {
        let invalid = || InvalidKey { text: text.into() };
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

    /// A key `K#1` as the numbered key that earlier versions wrote so; `None` for any other.
    pub(crate) fn formerly_numbered(&self) -> Option<IdempotencyKey> {
        let (key, number) = self.0.rsplit_once('#')?;
        let is_number = number.bytes().all(|digit| digit.is_ascii_digit()) && !number.starts_with('0');
        let is_numbered = is_number && !number.is_empty() && !key.is_empty();
        is_numbered.then(|| IdempotencyKey(format!("{key}{}{number}", IdempotencyKey::NUMBER).into()))
    }

    /// The key's text, as it is stored: that of a numbered key has a control character before its number.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The key as it was sent; the number of an update follows after `#`.
impl fmt::Display for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.split_once(IdempotencyKey::NUMBER) {
            Some((key, number)) => write!(f, "{key}#{number}"),
            None => f.write_str(&self.0),
        }
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
