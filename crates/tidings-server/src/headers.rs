//! The head of an event stream.

use http::HeaderMap;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};

/// For whom an event stream is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Visibility {
    /// For anyone who asks.
    #[default]
    Public,
    /// For one subscriber, known by a cookie or a token: no cache may share it.
    Private,
}

/// The header fields that make a response an event stream and that keep it one on its way through proxies.
///
/// [`Sse`](crate::Sse) sends these; call this only to answer with a body of your own.
///
/// | Field | Value | Why |
/// |---|---|---|
/// | `Content-Type` | `text/event-stream` | without it an `EventSource` fails for good |
/// | `Cache-Control` | `no-cache, no-transform` | a cache must not answer, and a compressing proxy must not collect events until its block is full |
/// | `X-Accel-Buffering` | `no` | nginx, and what is built on it, passes each write on at once |
///
/// For [`Visibility::Private`], `Cache-Control` is `private, no-cache, no-transform`.
///
/// There is no `Connection` field, since it makes an HTTP/2 response malformed, and no `Content-Length` or
/// `Content-Encoding`: `none` is not a coding, and some proxies refuse it.
#[must_use]
pub fn stream_headers(visibility: Visibility) -> HeaderMap {
    let cache_control = match visibility {
        Visibility::Public => "no-cache, no-transform",
        Visibility::Private => "private, no-cache, no-transform",
    };
    // A sender adds a few of its own. Beyond six fields a table takes twice the memory, of each stream that begins.
    let mut headers = HeaderMap::with_capacity(6);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(cache_control));
    headers.insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
    headers
}

const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_has_three_fields_and_no_more() {
        let headers = stream_headers(Visibility::Public);
        assert_eq!(headers["content-type"], "text/event-stream");
        assert_eq!(headers["cache-control"], "no-cache, no-transform");
        assert_eq!(headers["x-accel-buffering"], "no");
        assert_eq!(headers.len(), 3);
    }

    #[test]
    fn a_private_stream_is_not_shared_by_caches() {
        let headers = stream_headers(Visibility::Private);
        assert_eq!(headers["cache-control"], "private, no-cache, no-transform");
        assert_eq!(headers.len(), 3);
    }
}
