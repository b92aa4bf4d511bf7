//! What ends a stream for good, and what a transport reports.

use bytes::Bytes;
use http::{HeaderMap, StatusCode, Uri};

use crate::encoding;

/// Any error, for causes that come from other crates.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why a stream ended for good.
///
/// It is the last thing that a stream yields: after it comes `None`. A variant that an
/// [`EventSource`](crate::EventSource) can recover from, such as a broken connection, is seen here only where
/// repeating the request is not allowed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The server answered with a status that is neither 200 nor 204. What it had to say is in the [`Refusal`].
    #[error("{0}; a stream opens with 200")]
    Status(Box<Refusal>),

    /// The server answered 200 with something that is not an event stream, for instance a login page.
    #[error(
        "{} is of type {}; a stream opens with `text/event-stream`",
        .0.url, .0.content_type().unwrap_or("(none)")
    )]
    ContentType(Box<Refusal>),

    /// The stream is compressed in a way that is not read, although nobody asked for it. The feature `gzip` (on by
    /// default) reads gzip; nothing reads another one. A name that is no content encoding, such as `utf-8`, is ignored.
    #[error("{} is encoded as {:?}, which this client does not read", .0.url, .0.content_encoding())]
    ContentEncoding(Box<Refusal>),

    /// The server redirected more often than is followed, most likely in a circle.
    #[error("more than {limit} redirects; the last one led to {url}")]
    TooManyRedirects {
        /// How many redirects are followed.
        limit: usize,
        /// Where the first redirect that was not followed led.
        url: Uri,
    },

    /// The server redirected to something that is not a URL, or to several at once.
    #[error("{url} redirects to {location:?}, which is not a URL")]
    Redirect {
        /// The URL that answered with a redirect.
        url: Uri,
        /// Its `Location` header, of which the first 200 bytes are shown.
        location: String,
    },

    /// The exchange failed, and the request may not be repeated or repeating it is futile.
    #[error(transparent)]
    Transport(#[from] TransportError),

    /// The stream exceeds a limit that this side sets on lines or events.
    #[error("the event stream cannot be read")]
    Decode(#[source] tidings_codec::DecodeError),

    /// Nothing came for so long, and the request may not be repeated.
    #[error("nothing came for {0:?}")]
    Idle(std::time::Duration),

    /// The response ended without the terminal event that was expected: it is most likely cut short.
    #[error("the response ended without its terminal event")]
    Unfinished,

    /// The last event ID holds a control character, which no HTTP header can carry. Reconnecting without it would lose events
    /// in silence.
    #[error("last event id {0:?} contains a control character; the `Last-Event-ID` header cannot carry it")]
    LastEventId(String),

    /// The request factory failed. It is asked for one request per attempt, and may itself try as often as it likes.
    #[error("the request factory failed")]
    Factory(#[source] BoxError),
}

/// A response that does not open a stream, with enough of its body to tell why.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Refusal {
    /// The URL that answered, after redirects.
    pub url: Uri,
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// The first bytes of its body, at most [`Refusal::MAX_BODY_BYTES`].
    pub body: Bytes,
    /// Whether the body had more than that, broke off, or took longer than five seconds.
    pub truncated: bool,
}

impl Refusal {
    /// How much of the body is kept: 64 KiB.
    pub const MAX_BODY_BYTES: usize = 64 * 1024;

    /// The `Content-Type` header, if it is text.
    #[must_use]
    pub fn content_type(&self) -> Option<&str> {
        self.headers.get(http::header::CONTENT_TYPE)?.to_str().ok()
    }

    /// The content encodings, in lower case and separated by commas; empty when there are none.
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

/// Why an exchange of a request for a response failed.
///
/// The variants say how far it came, since that decides whether the request may be sent again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// This transport cannot send such a request: trying again is futile.
    #[error("cannot request {url}: {reason}")]
    Unsupported {
        /// The URL that was to be requested.
        url: Uri,
        /// What about it is not supported.
        reason: &'static str,
    },

    /// The proxy cannot be used as it is configured, or does not let this client in: trying again is futile.
    #[error("proxy {proxy}: {reason}")]
    Proxy {
        /// Its URL without credentials, or the variable that names it.
        proxy: String,
        /// What is wrong, and what to do about it.
        reason: String,
    },

    /// No connection came about. The server has seen nothing of the request, so any request may be sent again.
    #[error("cannot connect to {authority}")]
    Connect {
        /// The host and port that were tried.
        authority: String,
        /// What went wrong.
        source: BoxError,
    },

    /// The connection broke after a part of the request may have been sent. The server may have acted on it.
    #[error("the connection broke")]
    Broken {
        /// What went wrong.
        source: BoxError,
    },
}

impl TransportError {
    /// Wraps what went wrong on a connection that had come about.
    pub fn broken(source: impl Into<BoxError>) -> Self {
        Self::Broken { source: source.into() }
    }
}
