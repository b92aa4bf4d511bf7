//! The description of an attachment in the update that announces it.

use serde::{Deserialize, Serialize};

use super::ReceivedAttachment;
use crate::AttachmentId;

/// The data of an update that announces an attachment, as JSON; the record is the only place where it is kept.
///
/// `{"url":"/attachments/pYqHcVb1T0WcYb0o2m3nJQ","type":"image/png","size":68,"sha256":"…","name":"dot.png"}`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Announcement {
    /// Below the hub's own URL.
    pub(crate) url: String,
    #[serde(rename = "type")]
    pub(crate) media_type: MediaType,
    /// In bytes.
    pub(crate) size: u64,
    /// In hexadecimal digits.
    pub(crate) sha256: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<FileName>,
}

impl Announcement {
    pub(crate) fn of(
        received: &ReceivedAttachment,
        media_type: MediaType,
        name: Option<FileName>,
    ) -> Announcement {
        Announcement {
            url: Announcement::url(received.id()),
            media_type,
            size: received.bytes,
            sha256: received.sha256.clone(),
            name,
        }
    }

    /// Where an attachment is, below the hub's own URL.
    pub(crate) fn url(id: &AttachmentId) -> String {
        format!("/attachments/{id}")
    }

    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string(self).expect("text and numbers are JSON")
    }

    /// Reads back what [`to_json`](Announcement::to_json) wrote.
    pub(crate) fn parse(data: &str) -> Option<Announcement> {
        serde_json::from_str(data).ok()
    }
}

/// A media type with its parameters, such as `image/png` or `video/mp4; codecs="avc1"`: visible ASCII and spaces, at most
/// 255 bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MediaType(String);

impl MediaType {
    pub(crate) fn parse(text: &str) -> Option<MediaType> {
        let token = |part: &str| !part.is_empty() && part.bytes().all(is_token);
        let (kind, subkind) = essence(text).split_once('/')?;
        let printable = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        (token(kind) && token(subkind) && printable && text.len() <= 255)
            .then(|| MediaType(text.trim().into()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Type and subtype alone, in lower case.
    pub(crate) fn essence(&self) -> String {
        essence(&self.0).to_ascii_lowercase()
    }
}

fn essence(text: &str) -> &str {
    text.split(';').next().unwrap_or_default().trim()
}

/// RFC 9110, "tokens".
pub(crate) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// The publisher's name for a file: 1 to 255 bytes without control characters, and no path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileName(String);

impl FileName {
    pub(crate) fn parse(text: &str) -> Option<FileName> {
        let refused = |character: char| character.is_control() || matches!(character, '/' | '\\');
        let fits = (1..=255).contains(&text.len());
        (fits && !text.contains(refused) && !matches!(text, "." | "..")).then(|| FileName(text.into()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_media_type_is_two_tokens_and_printable_parameters() {
        for text in ["image/png", "Video/MP4; codecs=\"avc1\"", "application/vnd.a+b ; x=y"] {
            assert!(MediaType::parse(text).is_some(), "{text}");
        }
        assert_eq!(MediaType::parse("Image/PNG; a=B").unwrap().essence(), "image/png");
        let long = format!("image/{}", "x".repeat(255));
        for text in
            ["", "image", "/", "image/", "/png", "image/p ng", "image/png/x", "image/png;\tx", "a/é", &long]
        {
            assert_eq!(MediaType::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_name_is_no_path() {
        for text in ["photo.png", "é 1.png", ".hidden", "a\"b", &"x".repeat(255)] {
            assert!(FileName::parse(text).is_some(), "{text}");
        }
        for text in ["", ".", "..", "../x", "a/b", "a\\b", "a\nb", "a\0", "\u{85}", &"x".repeat(256)] {
            assert_eq!(FileName::parse(text), None, "{text}");
        }
    }
}
