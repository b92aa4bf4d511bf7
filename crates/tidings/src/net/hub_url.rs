//! The URLs of topics on a hub.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// The characters that stay unchanged in a segment of a path (RFC 3986, "unreserved").
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Whether a text is a URL of a server and not a topic. Source: RFC 3986, "Scheme": its case does not matter.
pub(crate) fn is_url(text: &str) -> bool {
    let has = |scheme: &str| text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
    has("http://") || has("https://")
}

/// The URL for publishing to `topic`, below the hub's own URL `hub`.
pub(crate) fn of_topic(hub: &str, topic: &str) -> String {
    // Clients and proxies remove empty and dotted segments, so a topic that has some is sent as one segment.
    let plain = topic.split('/').all(|segment| !matches!(segment, "" | "." | ".."));
    let path = if plain {
        let segments: Vec<_> =
            topic.split('/').map(|segment| utf8_percent_encode(segment, SEGMENT).to_string()).collect();
        segments.join("/")
    } else {
        utf8_percent_encode(topic, NON_ALPHANUMERIC).to_string()
    };
    format!("{}/topics/{path}", hub.trim_end_matches('/'))
}

/// The URL for reading `topics` together.
pub(crate) fn of_topics(hub: &str, topics: &[String], parameters: &[(&str, &str)]) -> String {
    let topics = topics.iter().map(|topic| ("topic", &**topic));
    format!("{}/topics{}", hub.trim_end_matches('/'), query(topics.chain(parameters.iter().copied())))
}

/// `?a=b&c=d`, or nothing for no parameters.
pub(crate) fn query<'a>(parameters: impl IntoIterator<Item = (&'a str, &'a str)>) -> Cow<'static, str> {
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
    if query.is_empty() { Cow::Borrowed("") } else { Cow::Owned(format!("?{query}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_survives_the_path() {
        let cases = [
            ("news", "http://h/topics/news"),
            ("builds/4 2", "http://h/topics/builds/4%202"),
            ("ä?#%", "http://h/topics/%C3%A4%3F%23%25"),
            ("https://example.com/1", "http://h/topics/https%3A%2F%2Fexample%2Ecom%2F1"),
            ("a/../b", "http://h/topics/a%2F%2E%2E%2Fb"),
            ("/a", "http://h/topics/%2Fa"),
        ];
        for (topic, url) in cases {
            assert_eq!(of_topic("http://h/", topic), url);
        }
    }

    #[test]
    fn a_url_is_told_from_a_topic_by_its_scheme_in_any_case() {
        for url in ["http://h", "HTTP://h", "hTtPs://h/x", "http://"] {
            assert!(is_url(url), "{url}");
        }
        for topic in ["news", "http", "httpé//", "urn:isbn:1", "a/http://h", "ftp://h"] {
            assert!(!is_url(topic), "{topic}");
        }
    }

    #[test]
    fn several_topics_share_a_url() {
        let topics = ["a&b".to_owned(), "c/*".to_owned()];
        assert_eq!(
            of_topics("http://h", &topics, &[("from", "start")]),
            "http://h/topics?topic=a%26b&topic=c%2F*&from=start"
        );
    }
}
