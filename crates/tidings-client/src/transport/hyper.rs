//! The transport of this crate: hyper, over a connection of its own for each request.

use http::Request;

use crate::{
    body::RequestBody,
    transport::{
        Sending, Transport, http1,
        protocol::{Allowed, Protocol},
    },
};

/// The transport that is used unless another one is given: hyper over TCP and TLS, by HTTP/1.1 and HTTP/2.
///
/// Each request has a connection of its own. A stream occupies its connection for as long as it lives, so a pool would
/// have nothing to reuse, and a connection whose peer is gone is never tried again.
///
/// It spawns no tasks: the connection is driven by whoever awaits the response or reads its body, and is closed the
/// moment that either is dropped. That goes for HTTP/2 too, where pings of the server are answered only while somebody
/// reads.
///
/// # Versions of HTTP
///
/// With `https` both are offered, and the server chooses; HTTP/2 needs the feature `http2` (on by default). With `http`
/// there is nothing to choose by: it is HTTP/1.1, unless [HTTP/2 is asked for](Self::with_http2_only).
#[derive(Clone, Debug, Default)]
pub struct HyperTransport {
    pub(super) allowed: Allowed,
    #[cfg(feature = "tls")]
    pub(super) tls: super::tls::Tls,
}

impl HyperTransport {
    /// A transport for `http` URLs, and with the feature `tls` (on by default) for `https` ones.
    ///
    /// It trusts the certificates that the operating system trusts, or those in the file that the environment variable
    /// `SSL_CERT_FILE` names.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Also trusts this certificate, in DER: that of a private authority, or of one server.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn with_trusted_certificate(mut self, der: Vec<u8>) -> Self {
        self.tls.trust(der);
        self
    }

    /// Speaks HTTP/1.1 and offers nothing else.
    #[must_use]
    pub fn with_http1_only(mut self) -> Self {
        self.allowed = Allowed::Http1;
        self
    }

    /// Speaks HTTP/2 and offers nothing else: without TLS it takes for granted that the server knows it ("prior
    /// knowledge"), and with TLS a server that does not is a failure to connect.
    #[cfg(feature = "http2")]
    #[must_use]
    pub fn with_http2_only(mut self) -> Self {
        self.allowed = Allowed::Http2;
        self
    }
}

impl Transport for HyperTransport {
    fn send(&self, request: Request<RequestBody>) -> Sending {
        let transport = self.clone();
        Box::pin(async move {
            let (io, protocol) = transport.connect(request.uri()).await?;
            match protocol {
                #[cfg(feature = "http2")]
                Protocol::Http2 => super::http2::exchange(io, request).await,
                Protocol::Http1 => http1::exchange(io, request).await,
            }
        })
    }
}
