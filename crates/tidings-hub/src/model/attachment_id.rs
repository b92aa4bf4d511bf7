//! The name of one attachment.

use std::{fmt, io};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

/// The ID of an attachment: 128 random bits as 22 characters of base64url, such as `pYqHcVb1T0WcYb0o2m3nJQ`.
///
/// Nobody can guess one. A client that has it was told, by an event or by another client. It is also the file's name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AttachmentId(Box<str>);

impl AttachmentId {
    const BYTES: usize = 16;

    /// How long each is, in bytes.
    pub const LEN: usize = 22;

    /// An ID that no other attachment has.
    ///
    /// # Errors
    /// When the operating system has no randomness to give.
    pub fn random() -> io::Result<AttachmentId> {
        let mut bytes = [0; AttachmentId::BYTES];
        getrandom::fill(&mut bytes)?;
        Ok(AttachmentId(URL_SAFE_NO_PAD.encode(bytes).into()))
    }

    /// Reads an ID back; anything that could not have been made is `None`, so an ID never leads out of its directory.
    pub fn parse(text: &str) -> Option<AttachmentId> {
        let mut bytes = [0; AttachmentId::BYTES];
        let decoded = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes);
        (decoded == Ok(AttachmentId::BYTES)).then(|| AttachmentId(text.into()))
    }

    /// The ID's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AttachmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_id_never_becomes_a_path() {
        let id = AttachmentId::random().unwrap();
        assert_eq!(id.as_str().len(), AttachmentId::LEN);
        assert_eq!(AttachmentId::parse(id.as_str()), Some(id));
        assert_ne!(AttachmentId::random().unwrap(), AttachmentId::random().unwrap());
        for text in
            ["", "..", "../../../../etc/passwd", "AAAAAAAAAAAAAAAAAAAAAA.part", "AAAAAAAAAAAAAAAAAAAA/A"]
        {
            assert_eq!(AttachmentId::parse(text), None, "{text}");
        }
        // Spare bits, another alphabet, one byte more or less, padding.
        for text in [
            "AAAAAAAAAAAAAAAAAAAAAB",
            "AAAAAAAAAAAAAAAAAAAA+A",
            "AAAAAAAAAAAAAAAAAAAAA",
            "AAAAAAAAAAAAAAAAAAAAAAA",
            "AAAAAAAAAAAAAAAAAAAAAA==",
        ] {
            assert_eq!(AttachmentId::parse(text), None, "{text}");
        }
    }
}
