//! What a response means for the stream that it was to open. Source: HTML, "Processing model".

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
    /// Its headers.
    pub headers: HeaderMap,
    /// The version of HTTP that it came by.
    pub version: http::Version,
}

const TIDINGS_HUB: HeaderName = HeaderName::from_static("tidings-hub");

impl ResponseHead {
    /// Whether the stream is a Tidings hub's, as the header `Tidings-Hub` says.
    ///
    /// Event types such as `start`, `gap` and `close` have a meaning of their own there. In any other stream they are
    /// events like others.
    #[must_use]
    pub fn is_hub(&self) -> bool {
        self.headers.contains_key(TIDINGS_HUB)
    }
}

/// What a response that is no redirect does to the stream.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// 200 with an event stream: the connection is announced.
    Opens,
    /// 204: the server has nothing more to say, ever.
    Ends,
    /// Any other status fails the connection.
    FailsByStatus,
    /// So does any other type.
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

/// A server that refuses and then drips its reasons must not hold up the refusal.
const REFUSAL_BODY_TIMEOUT: Duration = Duration::from_secs(5);

impl Refusal {
    /// Reads what the server has to say, within bounds.
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
