//! The position from which a client wants to continue.

use std::fmt;

use http::{HeaderMap, Request};

/// The ID of the last event that a client received, which it sends when it reconnects.
///
/// An `EventSource` sends it in the `Last-Event-ID` header. Clients that cannot set headers put it into the query, and
/// do not agree on its name: `lastEventId`, `last_event_id`, `lastEventID` and `Last-Event-ID` are all read. The header
/// wins, because an `EventSource` sends its original URL again. Of several IDs in the query the last one wins, because
/// polyfills append theirs. An empty ID counts as no ID.
///
/// The text comes from a client, so it may not be the ID of any event. An ID that is not UTF-8 is kept, with U+FFFD in
/// place of ill-formed bytes, so that a client that asks to resume is never taken for a new one.
///
/// With the feature `axum`, `Option<LastEventId>` is an extractor.
///
/// Source: HTML, "The `Last-Event-ID` header".
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LastEventId(String);

impl LastEventId {
    /// Reads it from a request.
    ///
    /// ```
    /// use tidings_server::LastEventId;
    ///
    /// let request = http::Request::get("/clock?last_event_id=41").header("Last-Event-ID", "42").body(())?;
    /// assert_eq!(LastEventId::from_request(&request).unwrap().as_str(), "42");
    /// # Ok::<(), http::Error>(())
    /// ```
    #[must_use]
    pub fn from_request<B>(request: &Request<B>) -> Option<LastEventId> {
        LastEventId::from_parts(request.headers(), request.uri().query())
    }

    /// Reads it from a request's header fields and query, the part of its URL after the `?`.
    #[must_use]
    pub fn from_parts(headers: &HeaderMap, query: Option<&str>) -> Option<LastEventId> {
        from_headers(headers).or_else(|| from_query(query?)).map(LastEventId)
    }

    /// The ID, which is never empty.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for LastEventId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for LastEventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn from_headers(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(HEADER)?;
    // Browsers send the ID's UTF-8 bytes. `HeaderValue::to_str`, which accepts only ASCII, would lose it.
    let id = String::from_utf8_lossy(value.as_bytes());
    (!id.is_empty()).then(|| id.into_owned())
}

fn from_query(query: &str) -> Option<String> {
    form_urlencoded::parse(query.as_bytes())
        .filter(|(name, id)| PARAMETERS.contains(&name.as_ref()) && !id.is_empty())
        .last()
        .map(|(_, id)| id.into_owned())
}

const HEADER: &str = "last-event-id";

const PARAMETERS: [&str; 4] = ["lastEventId", "last_event_id", "lastEventID", "Last-Event-ID"];

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn read(header: Option<&[u8]>, query: Option<&str>) -> Option<String> {
        let mut headers = HeaderMap::new();
        if let Some(value) = header {
            headers.insert(HEADER, HeaderValue::from_bytes(value).unwrap());
        }
        LastEventId::from_parts(&headers, query).map(|id| id.0)
    }

    #[test]
    fn the_header_counts_before_the_query() {
        assert_eq!(read(Some(b"42"), Some("lastEventId=41")).as_deref(), Some("42"));
        assert_eq!(read(Some(b""), Some("lastEventId=41")).as_deref(), Some("41"));
    }

    #[test]
    fn every_name_in_use_is_read_from_the_query() {
        for name in PARAMETERS {
            assert_eq!(read(None, Some(&format!("topic=a&{name}=41&x"))).as_deref(), Some("41"), "{name}");
        }
        assert_eq!(read(None, Some("lasteventid=41")), None);
    }

    #[test]
    fn the_query_is_percent_decoded_and_plus_is_a_space() {
        assert_eq!(read(None, Some("lastEventId=a%2Fb+%C3%A9%2B")).as_deref(), Some("a/b é+"));
    }

    #[test]
    fn what_a_polyfill_appends_beats_what_the_url_began_with() {
        assert_eq!(read(None, Some("Last-Event-ID=1&lastEventId=2")).as_deref(), Some("2"));
        assert_eq!(read(None, Some("lastEventId=1&lastEventId=")).as_deref(), Some("1"));
    }

    #[test]
    fn an_empty_id_is_no_id() {
        assert_eq!(read(Some(b""), None), None);
        assert_eq!(read(None, Some("lastEventId=")), None);
        assert_eq!(read(None, Some("")), None);
        assert_eq!(read(None, None), None);
    }

    #[test]
    fn the_header_is_utf_8() {
        assert_eq!(read(Some("é–日".as_bytes()), None).as_deref(), Some("é–日"));
    }

    #[test]
    fn an_id_that_is_not_utf_8_is_unknown_and_not_dropped() {
        assert_eq!(read(Some(b"4\xff2"), None).as_deref(), Some("4\u{fffd}2"));
        assert_eq!(read(None, Some("lastEventId=4%FF2")).as_deref(), Some("4\u{fffd}2"));
    }
}
