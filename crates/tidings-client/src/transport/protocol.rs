//! The versions of HTTP that a transport may speak.

/// A version of HTTP, as client and server agree on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    #[cfg(feature = "http2")]
    Http2,
    Http1,
}

impl Protocol {
    /// Its name when TLS negotiates it (RFC 7301, "Application-Layer Protocol Negotiation").
    #[cfg(feature = "tls")]
    pub(super) fn alpn(self) -> &'static [u8] {
        match self {
            #[cfg(feature = "http2")]
            Self::Http2 => b"h2",
            Self::Http1 => b"http/1.1",
        }
    }
}

/// The versions that a transport may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Allowed {
    /// The version that TLS negotiates, and HTTP/1.1 without TLS.
    #[default]
    Any,
    Http1,
    #[cfg(feature = "http2")]
    Http2,
}

impl Allowed {
    /// The versions offered in TLS, the preferred one first.
    #[cfg(feature = "tls")]
    pub(super) fn offered(self) -> &'static [Protocol] {
        match self {
            #[cfg(feature = "http2")]
            Self::Any => &[Protocol::Http2, Protocol::Http1],
            #[cfg(feature = "http2")]
            Self::Http2 => &[Protocol::Http2],
            _ => &[Protocol::Http1],
        }
    }

    /// The version used without TLS, where nothing is negotiated.
    pub(super) fn in_the_clear(self) -> Protocol {
        match self {
            #[cfg(feature = "http2")]
            Self::Http2 => Protocol::Http2,
            _ => Protocol::Http1,
        }
    }
}
