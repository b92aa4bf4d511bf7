//! The transport of this crate: hyper, without a task.

use std::{sync::Arc, time::Duration};

use http::{Request, Response, StatusCode, header::AUTHORIZATION};

use crate::{
    body::{RequestBody, ResponseBody},
    credentials,
    error::{InvalidUrl, TransportError},
    transport::{
        Sending, Transport,
        address::Address,
        connect::Connected,
        http1::{self, Reused},
        pool::Pool,
        protocol::{Allowed, Protocol},
        proxy::{Environment, Proxies, Proxy},
    },
};

/// The transport that is used unless another one is given: hyper over TCP and TLS, by HTTP/1.1 and HTTP/2.
///
/// Each request has a connection of its own, unless [another one's may be used](Self::with_reuse). A stream occupies its
/// connection for as long as it lives, so for streams that don't end there would be nothing to reuse.
///
/// It spawns no tasks: the connection is driven by whoever awaits the response or reads its body, and is closed the
/// moment that either is dropped. That goes for HTTP/2 too, where pings of the server are answered only while somebody
/// reads.
///
/// # Versions of HTTP
///
/// With `https` both are offered, and the server chooses; HTTP/2 needs the feature `http2` (on by default). With `http`
/// there is nothing to choose by: it is HTTP/1.1, unless [HTTP/2 is asked for](Self::with_http2_only).
///
/// # Proxies
///
/// The environment decides, as for curl: `HTTP_PROXY` is for `http` URLs (when `REQUEST_METHOD` is set, only
/// `http_proxy` in lower case, since a CGI program's `HTTP_PROXY` comes from a request header), `HTTPS_PROXY` for `https`
/// URLs, `ALL_PROXY` for both; all are read in lower case first, when the transport is made. `NO_PROXY` lists what is
/// reached directly, separated by commas: names with all that is below them, addresses, networks as `10.0.0.0/8`, each
/// but the last with a port if wanted, or `*`. Loopback addresses and `localhost` are always reached directly.
/// [`with_proxy`](Self::with_proxy) and [`without_proxy`](Self::without_proxy) overrule all of it.
///
/// A proxy is an `http` or `https` URL, with user and password in it if it wants some. It passes requests for `http` on,
/// and opens tunnels (`CONNECT`) for `https` and HTTP/2. SOCKS is not spoken.
#[derive(Clone, Debug)]
pub struct HyperTransport {
    pub(super) allowed: Allowed,
    pub(super) proxies: Proxies,
    pub(super) connect_timeout: Duration,
    pub(super) pool: Option<Pool>,
    #[cfg(feature = "tls")]
    pub(super) tls: super::tls::Tls,
}

impl Default for HyperTransport {
    fn default() -> Self {
        Self::new()
    }
}

impl HyperTransport {
    /// A transport for `http` URLs, and with the feature `tls` (on by default) for `https` ones.
    ///
    /// It trusts the certificates that the operating system trusts, or those in the file that the environment variable
    /// `SSL_CERT_FILE` names.
    #[must_use]
    pub fn new() -> Self {
        Self {
            allowed: Allowed::default(),
            proxies: Proxies::Environment(Arc::new(Environment::read())),
            connect_timeout: Duration::from_secs(30),
            pool: None,
            #[cfg(feature = "tls")]
            tls: super::tls::Tls::default(),
        }
    }

    /// How long a connection may take to come about: to look the name up, for TCP, for a proxy's tunnel, and for TLS.
    /// Default 30 s. It does not wait for the response: see
    /// [`with_idle_timeout`](crate::EventSource::with_idle_timeout).
    ///
    /// All addresses of a name are tried: the next one when the last one has failed, or has not answered for 250 ms.
    #[must_use]
    pub fn with_connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Keeps HTTP/1.1 connections whose answers were read to the end, and uses them for later requests to the same server:
    /// for streams that end, as answers of LLMs do, it saves a later one the time for TCP and TLS. At most 64 are kept, for
    /// 15 s each, by this transport and its clones; what is too old is closed with the next request.
    ///
    /// A request that finds its connection closed goes over another one, if nothing of it was sent; else it fails with
    /// [`TransportError::Broken`]. HTTP/2 connections, and those to a proxy that passes requests on, are not kept.
    #[must_use]
    pub fn with_reuse(mut self) -> Self {
        self.pool = Some(Pool::default());
        self
    }

    /// Reaches every server through this proxy, loopback addresses and those in `NO_PROXY` too.
    ///
    /// The port is that of the scheme unless the URL has one, and the scheme is `http` unless it has one.
    ///
    /// # Errors
    ///
    /// [`InvalidUrl`] when it is no URL of a proxy, as `http://user:password@proxy.example:3128`.
    pub fn with_proxy(mut self, url: &str) -> Result<Self, InvalidUrl> {
        self.proxies = Proxies::One(Arc::new(Proxy::parse(url)?));
        Ok(self)
    }

    /// Reaches every server directly, whatever the environment says.
    #[must_use]
    pub fn without_proxy(mut self) -> Self {
        self.proxies = Proxies::None;
        self
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
        Box::pin(async move { transport.exchange(request).await })
    }
}

impl HyperTransport {
    async fn exchange(
        self,
        mut request: Request<RequestBody>,
    ) -> Result<Response<ResponseBody>, TransportError> {
        if let Some(basic) = credentials::take(request.uri_mut()) {
            request.headers_mut().entry(AUTHORIZATION).or_insert(basic);
        }
        let url = request.uri().clone();
        let server = Address::of(&url)?;
        let mut home = self.pool.as_ref().map(|pool| pool.home(&server));
        if let Some(home) = &home {
            while let Some(idle) = home.take() {
                match http1::exchange_again(idle, request, home.clone()).await? {
                    Reused::Answered(response) => return Ok(response),
                    Reused::Unsent(unsent) => request = unsent,
                }
            }
        }
        let Connected { io, protocol, passed_on_by } = self.connect(&server).await?;
        if passed_on_by.is_some() {
            home = None;
        }
        let response = match protocol {
            #[cfg(feature = "http2")]
            Protocol::Http2 => super::http2::exchange(io, request).await?,
            Protocol::Http1 => http1::exchange(io, request, passed_on_by.as_ref(), home).await?,
        };
        match passed_on_by {
            Some(proxy) if response.status() == StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
                Err(proxy.refusal(response.status(), &server))
            }
            _ => Ok(response),
        }
    }
}
