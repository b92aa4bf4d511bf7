//! Judges whether a response opens a stream. Source: HTML, "Processing model".

use std::time::Duration;

use bytes::BytesMut;
use http::{HeaderMap, HeaderName, Response, StatusCode, Uri};

use crate::{body::ResponseBody, error::Refusal, media_type::is_event_stream};

/// The head of the response that opened a stream.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ResponseHead {
    /// The URL that answered, after redirects.
    pub url: Uri,
    /// The headers of the response.
    pub headers: HeaderMap,
    /// The version of HTTP of the response.
    pub version: http::Version,
}

const TIDINGS_HUB: HeaderName = HeaderName::from_static("tidings-hub");
const TIDINGS_ACCESS: HeaderName = HeaderName::from_static("tidings-access");

impl ResponseHead {
    /// Whether the stream comes from a Tidings hub, according to the header `Tidings-Hub`.
    ///
    /// In such a stream, event types such as `start`, `gap` and `close` have a special meaning. In any other stream
    /// they are ordinary events.
    #[must_use]
    pub fn is_hub(&self) -> bool {
        self.headers.contains_key(TIDINGS_HUB)
    }

    /// Whether a hub says that it has opened the stream for a credential.
    pub(crate) fn is_for_credential(&self) -> bool {
        self.headers.get(TIDINGS_ACCESS).is_some_and(|access| access.as_bytes().starts_with(b"token"))
    }
}

/// The effect of a response on the stream. Redirects are handled elsewhere.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// 200 with an event stream opens the stream.
    Opens,
    /// 204: the server will send nothing more.
    Ends,
    /// Any other status fails the connection.
    FailsByStatus,
    /// Any other content type fails the connection.
    FailsByType,
}

impl Verdict {
    pub(crate) fn of<B>(response: &Response<B>) -> Self {
        match response.status() {
            StatusCode::OK if is_event_stream(response.headers()) => Self::Opens,
            StatusCode::OK => Self::FailsByType,
            StatusCode::NO_CONTENT => Self::Ends,
            _ => Self::FailsByStatus,
        }
    }
}

/// The bound for reading the body of a refusal. A server that sends it in drips must not delay the error.
const REFUSAL_BODY_TIMEOUT: Duration = Duration::from_secs(5);

impl Refusal {
    /// Reads the server's explanation, within bounds.
    pub(crate) async fn read(url: Uri, response: Response<ResponseBody>) -> Box<Self> {
        let (head, mut body) = response.into_parts();
        let mut kept = BytesMut::new();
        let complete = tokio::time::timeout(REFUSAL_BODY_TIMEOUT, async {
            while let Some(chunk) = body.chunk().await {
                let Ok(chunk) = chunk else { return false };
                let room = Self::MAX_BODY_BYTES - kept.len();
                kept.extend_from_slice(&chunk[..chunk.len().min(room)]);
                if chunk.len() > room {
                    return false;
                }
            }
            true
        })
        .await
        .unwrap_or(false);
        Box::new(Self {
            url,
            status: head.status,
            headers: head.headers,
            body: kept.freeze(),
            truncated: !complete,
        })
    }
}

#[cfg(test)]
mod tests {
    use http::header::CONTENT_TYPE;

    use super::*;

    fn verdict(status: u16, content_type: &str) -> Verdict {
        Verdict::of(&Response::builder().status(status).header(CONTENT_TYPE, content_type).body(()).unwrap())
    }

    #[test]
    fn another_type_fails() {
        assert_eq!(verdict(200, "text/event-stream"), Verdict::Opens);
        assert_eq!(verdict(200, "text/html"), Verdict::FailsByType);
    }

    #[test]
    fn another_status_fails_whatever_the_type() {
        for status in [201, 202, 203, 205, 206, 300, 304, 400, 401, 404, 500, 503] {
            assert_eq!(verdict(status, "text/event-stream"), Verdict::FailsByStatus, "{status}");
        }
        assert_eq!(verdict(204, "text/event-stream"), Verdict::Ends);
    }
}
