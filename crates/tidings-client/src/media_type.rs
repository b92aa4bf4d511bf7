//! The media type of a response. Source: Fetch, "extract a MIME type"; MIME Sniffing, "parse a MIME type".

use http::{HeaderMap, header::CONTENT_TYPE};

/// Whether the headers of a response declare an event stream, by the rules of browsers. A source accepts no other
/// response.
///
/// If there are several types, on one line or on more, the last valid one counts. Parameters are ignored, `charset`
/// too: an event stream is always UTF-8. Source: Fetch, "extract a MIME type".
#[must_use]
pub fn is_event_stream(headers: &HeaderMap) -> bool {
    essence(headers).is_some_and(|essence| essence.eq_ignore_ascii_case(b"text/event-stream"))
}

/// Type and subtype. Of several values, on one line or on more, the last one counts that is valid and not `*/*`.
fn essence(headers: &HeaderMap) -> Option<&[u8]> {
    let lines = headers.get_all(CONTENT_TYPE).iter();
    let values = lines.flat_map(|line| split(line.as_bytes()));
    values.filter_map(parse).filter(|essence| *essence != b"*/*").last()
}

/// Splits a line at its commas, except inside quotes. There a backslash escapes the next byte.
fn split(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    line.split(move |&byte| {
        let was_escaped = std::mem::take(&mut is_escaped);
        match byte {
            b'"' if !was_escaped => is_quoted = !is_quoted,
            b'\\' if is_quoted && !was_escaped => is_escaped = true,
            b',' => return !is_quoted,
            _ => {}
        }
        false
    })
}

/// The type and the subtype of one value; `None` if it is not a media type.
fn parse(value: &[u8]) -> Option<&[u8]> {
    let essence = value.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
    let slash = essence.iter().position(|&byte| byte == b'/')?;
    let is_token = |text: &[u8]| !text.is_empty() && text.iter().all(|&byte| is_token_byte(byte));
    (is_token(&essence[..slash]) && is_token(&essence[slash + 1..])).then_some(essence)
}

/// Source: RFC 9110, "Tokens".
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn opens(lines: &[&'static str]) -> bool {
        let header = |line: &&'static str| (CONTENT_TYPE, HeaderValue::from_static(line));
        is_event_stream(&lines.iter().map(header).collect())
    }

    #[test]
    fn parameters_and_case_of_the_type_do_not_matter() {
        for line in [
            "text/event-stream",
            "Text/Event-Stream",
            "text/event-stream;charset=utf-8",
            "text/event-stream; charset=iso-8859-1",
            "text/event-stream ; x=y",
            "text/event-stream;",
            "text/event-stream; charset=\"a,b\"",
            "text/event-stream; charset=\"a\\\", text/html",
            "text/event-stream; charset=\"not, closed",
        ] {
            assert!(opens(&[line]), "{line}");
        }
    }

    #[test]
    fn the_last_of_several_types_counts() {
        assert!(opens(&["text/html", "text/event-stream"]));
        assert!(opens(&["text/html, text/event-stream"]));
        assert!(opens(&["text/event-stream", "text/event-stream; charset=utf-8"]));
        assert!(!opens(&["text/event-stream", "text/html"]));
        assert!(!opens(&["text/event-stream; x=\"y\", text/html"]));
    }

    #[test]
    fn what_is_no_type_does_not_count() {
        for line in ["", "*/*", "nonsense", "text/", "/event-stream", "te xt/event-stream", "charset=utf-8"] {
            assert!(opens(&["text/event-stream", line]), "{line}");
            assert!(!opens(&[line]), "{line}");
        }
        assert!(opens(&["text/event-stream,"]) && opens(&[", text/event-stream"]));
    }

    #[test]
    fn another_type_is_no_event_stream() {
        for line in ["text/html", "text/event-streams", "application/json", "x; text/event-stream"] {
            assert!(!opens(&[line]), "{line}");
        }
        assert!(!opens(&[]));
    }
}
