//! Header fields that are lists.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName};

/// The elements of a list of plain words (RFC 9110, section 5.6.1), in order, without empty ones. A sender may write one line or
/// many, and a proxy may join them.
pub(crate) fn elements(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = Cow<'_, str>> {
    let lines = headers.get_all(name).into_iter();
    let elements = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    elements.map(<[u8]>::trim_ascii).filter(|element| !element.is_empty()).map(String::from_utf8_lossy)
}

/// All lines of a list field as one text, which means the same. `None` if there is no line.
pub(crate) fn joined(headers: &HeaderMap, name: HeaderName) -> Option<Cow<'_, str>> {
    let lines = headers.get_all(name).into_iter();
    let lines = lines.map(|line| String::from_utf8_lossy(line.as_bytes()));
    lines.reduce(|joined, line| (joined + ", ") + line)
}

/// The parts of a text between delimiters. A delimiter in a quoted string does not count.
pub(crate) fn split_unquoted(text: &str, delimiter: u8) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let (mut quoted, mut escaped) = (false, false);
        let end = text.bytes().position(|byte| {
            let is_end = byte == delimiter && !quoted;
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = quoted,
                b'"' => quoted = !quoted,
                _ => {}
            }
            is_end
        });
        // A delimiter is ASCII, so both sides begin and end at a character.
        rest = end.and_then(|end| text.get(end + 1..));
        text.get(..end.unwrap_or(text.len()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_commas_mean_the_same() {
        let name = HeaderName::from_static("accept");
        for lines in [&["a, b"][..], &["a", "b"], &["a,,\tb ,"], &["", " a ", ",", "b"]] {
            let headers: HeaderMap = lines.iter().map(|line| (name.clone(), line.parse().unwrap())).collect();
            let elements: Vec<_> = elements(&headers, name.clone()).collect();
            assert_eq!(elements, ["a", "b"], "{lines:?}");
            assert_eq!(joined(&headers, name.clone()).unwrap(), lines.join(", "));
        }
        assert_eq!(joined(&HeaderMap::new(), name), None);
    }

    #[test]
    fn a_delimiter_in_quotes_is_text() {
        for (text, parts) in [
            ("", &[""][..]),
            ("a,b", &["a", "b"]),
            (",é,", &["", "é", ""]),
            ("a;x=\"1,2\",b", &["a;x=\"1,2\"", "b"]),
            ("\"\\\",\",b", &["\"\\\",\"", "b"]),
            ("\"open,b", &["\"open,b"]),
            ("a\\,b", &["a\\", "b"]),
        ] {
            assert_eq!(split_unquoted(text, b',').collect::<Vec<_>>(), parts, "{text}");
        }
    }
}
