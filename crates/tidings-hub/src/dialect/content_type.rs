//! `Content-Type`, read as browsers do.

use std::borrow::Cow;

use super::list::split_unquoted;
use crate::attachments::is_token;

/// The media type that a body has.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ContentType<'a> {
    /// Type and subtype, such as `text/plain`, in the letters that were sent.
    pub(crate) essence: &'a str,
    /// The parameter `charset`.
    pub(crate) charset: Option<Cow<'a, str>>,
    /// All of it, as it was sent.
    pub(crate) text: &'a str,
}

impl<'a> ContentType<'a> {
    /// Of several values, on one line or on more, the last media type counts. It keeps the `charset` of earlier values of the
    /// same type. `None` if no value is a media type.
    ///
    /// Source: Fetch, "extract a MIME type".
    pub(crate) fn extract(values: &'a str) -> Option<ContentType<'a>> {
        let mut extracted: Option<ContentType<'_>> = None;
        for value in split_unquoted(values, b',') {
            let Some(mut next) = ContentType::parse(value).filter(|next| next.essence != "*/*") else {
                continue;
            };
            if let Some(before) = extracted.filter(|before| before.is(next.essence)) {
                next.charset = next.charset.or(before.charset);
            }
            extracted = Some(next);
        }
        extracted
    }

    /// Whether it is of this type and subtype.
    pub(crate) fn is(&self, essence: &str) -> bool {
        self.essence.eq_ignore_ascii_case(essence)
    }

    /// Source: MIME Sniffing, "parse a MIME type".
    fn parse(text: &'a str) -> Option<ContentType<'a>> {
        let text = trim(text);
        let mut parts = split_unquoted(text, b';');
        let essence = trim(parts.next()?);
        let (kind, subkind) = essence.split_once('/')?;
        if !is_word(kind) || !is_word(subkind) {
            return None;
        }
        let charset = parts.find_map(|parameter| {
            let (name, value) = parameter.split_once('=')?;
            name.trim_start_matches(is_space).eq_ignore_ascii_case("charset").then(|| unquote(value))?
        });
        Some(ContentType { essence, charset, text })
    }
}

/// The value of a parameter; `None` if it is empty. Text after a quoted string is ignored.
fn unquote(value: &str) -> Option<Cow<'_, str>> {
    let Some(quoted) = value.strip_prefix('"') else {
        let value = value.trim_end_matches(is_space);
        return (!value.is_empty()).then_some(Cow::Borrowed(value));
    };
    let (mut content, mut characters) = (String::new(), quoted.chars());
    while let Some(character) = characters.next() {
        match character {
            '"' => break,
            '\\' => content.push(characters.next().unwrap_or('\\')),
            other => content.push(other),
        }
    }
    Some(content.into())
}

fn trim(text: &str) -> &str {
    text.trim_matches(is_space)
}

/// The spaces that HTTP knows.
fn is_space(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\r' | '\n')
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_token)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(lines: &[&str]) -> Option<(String, Option<String>)> {
        ContentType::extract(&lines.join(", "))
            .map(|found| (found.essence.to_ascii_lowercase(), found.charset.map(Cow::into_owned)))
    }

    fn some(essence: &str, charset: Option<&str>) -> Option<(String, Option<String>)> {
        Some((essence.into(), charset.map(Into::into)))
    }

    #[test]
    fn case_spaces_and_parameters_do_not_hide_a_type() {
        for text in
            ["text/plain", " TEXT/Plain\t", "text/plain;", "text/plain ; x=y", "text/plain;x=\"a;b,c\""]
        {
            assert_eq!(of(&[text]), some("text/plain", None), "{text}");
        }
    }

    #[test]
    fn a_charset_may_be_quoted_and_the_first_one_counts() {
        for (text, charset) in [
            ("a/b;charset=utf-8", Some("utf-8")),
            ("a/b; CharSet=\"UTF-8\"", Some("UTF-8")),
            ("a/b;charset=\"utf\\-8\" x;y=z", Some("utf-8")),
            ("a/b; x=\";charset=latin1\"; charset=utf-8", Some("utf-8")),
            ("a/b;charset=utf-8;charset=latin1", Some("utf-8")),
            ("a/b;charset=", None),
            ("a/b;charset =utf-8", None),
            ("a/b;charset='utf-8'", Some("'utf-8'")),
            ("a/b;charset=\"utf-8", Some("utf-8")),
        ] {
            assert_eq!(of(&[text]), some("a/b", charset), "{text}");
        }
    }

    #[test]
    fn of_several_the_last_that_is_a_type_counts() {
        let charset = Some("utf-8");
        for (lines, expected) in [
            (&["text/plain", "a/b"][..], some("a/b", None)),
            (&["text/plain, a/b"], some("a/b", None)),
            (&["a/b", "*/*"], some("a/b", None)),
            (&["a/b, nonsense"], some("a/b", None)),
            (&["a/b;charset=utf-8", "a/b;x=y"], some("a/b", charset)),
            (&["c/d;charset=utf-8", "a/b"], some("a/b", None)),
            (&["a/b;x=\"1,c/d\""], some("a/b", None)),
            (&[], None),
            (&[""], None),
            (&["a", "/b", "a/", "a b/c", "*/*"], None),
        ] {
            assert_eq!(of(lines), expected, "{lines:?}");
        }
    }
}
