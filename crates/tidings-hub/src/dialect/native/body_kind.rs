//! Which kind of body is published: decided by `Content-Type`.

use http::{HeaderMap, header};

use crate::{
    attachments::MediaType,
    dialect::{Refusal, content_type::ContentType, list::joined},
};

/// The names of UTF-8, and of its part ASCII, in a `charset`.
const UTF8_NAMES: [&str; 4] = ["utf-8", "utf8", "us-ascii", "ascii"];

/// The kind of a published body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BodyKind {
    /// One update: the body is its data.
    Text,
    /// Many updates, as an event stream.
    EventStream,
    /// Many updates, a JSON object a line.
    Ndjson,
    /// One update, which announces the body as a file.
    Attachment(MediaType),
}

impl BodyKind {
    /// The kind of the types that most publishers send, letter by letter. These need not be taken apart.
    fn usual(headers: &HeaderMap) -> Option<BodyKind> {
        let mut lines = headers.get_all(header::CONTENT_TYPE).iter();
        let (Some(line), None) = (lines.next(), lines.next()) else { return None };
        match line.as_bytes() {
            b"text/plain" | b"application/json" | b"application/x-www-form-urlencoded" => {
                Some(BodyKind::Text)
            }
            b"text/event-stream" => Some(BodyKind::EventStream),
            b"application/x-ndjson" => Some(BodyKind::Ndjson),
            _ => None,
        }
    }

    /// Decides by `Content-Type`. A form counts as text, because `curl -d` sends text under that type.
    pub(crate) fn of(headers: &HeaderMap) -> Result<BodyKind, Refusal> {
        if let Some(kind) = BodyKind::usual(headers) {
            return Ok(kind);
        }
        let no_type = |text: &str| {
            Refusal::unsupported_body(format!(
                "Content-Type is {text:?}, which is not a media type of at most 255 bytes; send one such as image/png"
            ))
        };
        let values = joined(headers, header::CONTENT_TYPE).unwrap_or_default();
        let Some(content_type) = ContentType::extract(&values) else {
            return if values.trim().is_empty() { Ok(BodyKind::Text) } else { Err(no_type(&values)) };
        };
        let is_one_of = |names: &[&str]| names.iter().any(|name| content_type.is(name));
        let kind = if is_one_of(&["text/plain", "application/json", "application/xml"]) {
            BodyKind::Text
        } else if is_one_of(&["text/event-stream"]) {
            BodyKind::EventStream
        } else if is_one_of(&["application/x-ndjson", "application/ndjson", "application/jsonl"]) {
            BodyKind::Ndjson
        } else {
            match &*content_type.essence.to_ascii_lowercase() {
                "application/x-www-form-urlencoded" => BodyKind::Text,
                text if text.starts_with("text/") || text.ends_with("+json") || text.ends_with("+xml") => {
                    BodyKind::Text
                }
                // The text around the files would be stored with them.
                form if form.starts_with("multipart/") => {
                    return Err(Refusal::unsupported_body(format!(
                        "Content-Type is {form:?}; send each file by itself, as the whole body, with its own type"
                    )));
                }
                _ => {
                    let media_type = MediaType::parse(content_type.text).map(BodyKind::Attachment);
                    return media_type.ok_or_else(|| no_type(content_type.text));
                }
            }
        };
        let is_utf8 = |charset: &str| UTF8_NAMES.iter().any(|utf8| charset.eq_ignore_ascii_case(utf8));
        if let Some(charset) = content_type.charset.filter(|charset| !is_utf8(charset)) {
            return Err(Refusal::unsupported_body(format!(
                "charset is {charset:?}; an event stream is always UTF-8"
            )));
        }
        Ok(kind)
    }
}
