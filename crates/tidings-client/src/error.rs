//! The errors that end a stream for good, and those that a transport reports.

use bytes::Bytes;
use http::{HeaderMap, StatusCode, Uri};

use crate::encoding;

/// Any error, for causes that come from other crates.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The reason why a stream ended for good.
///
/// It is the last item of a stream: after it comes `None`. An [`EventSource`](crate::EventSource) recovers from some of
/// the variants, such as a broken connection. You see those only if the request must not be repeated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The server answered with a status that is neither 200 nor 204. The [`Refusal`] holds the response.
    #[error("{0}; a stream opens with 200")]
    Status(Box<Refusal>),

    /// The server answered 200 with something that is not an event stream, for instance a login page.
    #[error(
        "{} is of type {}; a stream opens with `text/event-stream`",
        .0.url, .0.content_type().unwrap_or("(none)")
    )]
    ContentType(Box<Refusal>),

    /// The stream is compressed in a way that this client does not read, although the request did not ask for it. The
    /// feature `gzip` (on by default) reads gzip; no feature reads another encoding. A name that is not a content
    /// encoding, such as `utf-8`, is ignored.
    #[error("{} is encoded as {:?}, which this client does not read", .0.url, .0.content_encoding())]
    ContentEncoding(Box<Refusal>),

    /// The server redirected more often than the limit, most likely in a circle.
    #[error("more than {limit} redirects; the last one led to {url}")]
    TooManyRedirects {
        /// The maximum number of redirects.
        limit: usize,
        /// The target of the first redirect that was not followed.
        url: Uri,
    },

    /// The server redirected to text that is not a URL, or to several URLs at once.
    #[error("{url} redirects to {location:?}, which is not a URL")]
    Redirect {
        /// The URL that answered with a redirect.
        url: Uri,
        /// Its `Location` header, cut to the first 200 bytes.
        location: String,
    },

    /// The exchange failed, and the request must not be repeated, or repeating it is futile.
    #[error(transparent)]
    Transport(#[from] TransportError),

    /// The stream exceeds one of the client's limits on lines and events.
    #[error("the event stream cannot be read")]
    Decode(#[source] tidings_codec::DecodeError),

    /// Nothing arrived for this long, and the request must not be repeated.
    #[error("nothing arrived for {0:?}")]
    Idle(std::time::Duration),

    /// The response ended without the expected terminal event. Most likely it was cut short.
    #[error("the response ended without its terminal event")]
    Unfinished,

    /// The last event ID holds a control character, which no HTTP header can carry. Reconnecting without the ID would
    /// lose events in silence.
    #[error("last event id {0:?} contains a control character; the `Last-Event-ID` header cannot carry it")]
    LastEventId(String),

    /// The request factory failed. It is called once per attempt; it may retry inside as often as it likes.
    #[error("the request factory failed")]
    Factory(#[source] BoxError),
}

/// A response that does not open a stream, with enough of its body to see the reason.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Refusal {
    /// The URL that answered, after redirects.
    pub url: Uri,
    /// The status of the response.
    pub status: StatusCode,
    /// The headers of the response.
    pub headers: HeaderMap,
    /// The first bytes of the body, at most [`Refusal::MAX_BODY_BYTES`].
    pub body: Bytes,
    /// Whether the body was longer, broke off, or took longer than five seconds.
    pub truncated: bool,
}

impl Refusal {
    /// The maximum size of the body that is kept: 64 KiB.
    pub const MAX_BODY_BYTES: usize = 64 * 1024;

    /// The `Content-Type` header, if it is text.
    #[must_use]
    pub fn content_type(&self) -> Option<&str> {
        self.headers.get(http::header::CONTENT_TYPE)?.to_str().ok()
    }

    /// The content encodings, in lower case and separated by commas. Empty if there are none.
    pub(crate) fn content_encoding(&self) -> String {
        encoding::named(&self.headers).join(",")
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} answered {}", self.url, self.status)
    }
}

/// Text that is not an absolute URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{url:?} is not a URL that can be requested: {reason}")]
pub struct InvalidUrl {
    pub(crate) url: String,
    pub(crate) reason: String,
}

/// The reason why an exchange of a request for a response failed.
///
/// The variants tell how far the exchange came, because that decides whether the request may be sent again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// This transport cannot send such a request. Trying again is futile.
    #[error("cannot request {url}: {reason}")]
    Unsupported {
        /// The URL of the request.
        url: Uri,
        /// The unsupported part of the request.
        reason: &'static str,
    },

    /// The proxy cannot be used as it is configured, or refuses this client. Trying again is futile.
    #[error("proxy {proxy}: {reason}")]
    Proxy {
        /// The URL of the proxy without credentials, or the variable that names it.
        proxy: String,
        /// The reason, and the next step.
        reason: String,
    },

    /// No connection was made. The server has seen nothing of the request, so any request may be sent again.
    #[error("cannot connect to {authority}")]
    Connect {
        /// The host and port of the attempt.
        authority: String,
        /// The cause.
        source: BoxError,
    },

    /// The connection broke after a part of the request may have been sent. The server may have acted on it.
    #[error("the connection broke")]
    Broken {
        /// The cause.
        source: BoxError,
    },
}

impl TransportError {
    /// Wraps an error on a connection that had been made.
    pub fn broken(source: impl Into<BoxError>) -> Self {
        Self::Broken { source: source.into() }
    }
}
