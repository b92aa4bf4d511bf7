//! The header fields of an event stream's response.

use http::HeaderMap;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};

/// The readers of an event stream: everybody, or one subscriber.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Visibility {
    /// For every client.
    #[default]
    Public,
    /// For one subscriber, known by a cookie or a token: no cache may share it.
    Private,
}

/// Returns the header fields that make a response an event stream, and keep it one on its way through proxies.
///
/// [`Sse`](crate::Sse) sends these itself. Call this function only if you send a body of your own.
///
/// | Field | Value | Why |
/// |---|---|---|
/// | `Content-Type` | `text/event-stream` | without it an `EventSource` fails for good |
/// | `Cache-Control` | `no-cache, no-transform` | a cache must not answer, and a compressing proxy must not collect events until its block is full |
/// | `X-Accel-Buffering` | `no` | nginx, and proxies that are built on it, pass each write on at once |
///
/// For [`Visibility::Private`], `Cache-Control` is `private, no-cache, no-transform`.
///
/// There is no `Connection` field, because it makes an HTTP/2 response malformed. There is no `Content-Length` or
/// `Content-Encoding`: `none` is not a coding, and some proxies refuse it.
#[must_use]
pub fn stream_headers(visibility: Visibility) -> HeaderMap {
    let cache_control = match visibility {
        Visibility::Public => "no-cache, no-transform",
        Visibility::Private => "private, no-cache, no-transform",
    };
    // Callers add a few headers of their own.
    let mut headers = HeaderMap::with_capacity(8);
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
