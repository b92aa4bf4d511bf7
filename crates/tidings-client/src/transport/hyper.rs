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

/// The default transport: hyper over TCP and TLS, with HTTP/1.1 and HTTP/2.
///
/// Each request has its own connection, unless you allow [reuse](Self::with_reuse). A stream occupies its connection
/// for as long as it lives, so for endless streams there is nothing to reuse.
///
/// The transport spawns no tasks. The caller that awaits the response or reads its body also drives the connection, and
/// dropping either closes the connection at once. This holds for HTTP/2 too: the server's pings are answered only while
/// something reads.
///
/// # Versions of HTTP
///
/// With `https` the transport offers both versions, and the server chooses. HTTP/2 needs the feature `http2` (on by
/// default). With `http` nothing is negotiated: the transport uses HTTP/1.1, unless you require
/// [HTTP/2](Self::with_http2_only).
///
/// # Proxies
///
/// The environment decides, as for curl. The variables are read when the transport is made, and the name in lower case
/// is read first.
///
/// | Variable | Used for |
/// |---|---|
/// | `HTTP_PROXY` | `http` URLs. If `REQUEST_METHOD` is set, only `http_proxy` in lower case counts, because a CGI program's `HTTP_PROXY` comes from a request header |
/// | `HTTPS_PROXY` | `https` URLs |
/// | `ALL_PROXY` | both |
/// | `NO_PROXY` | servers to reach directly, separated by commas: a name with all its subdomains, or an address, each with a port if you like; a network such as `10.0.0.0/8`; or `*` |
///
/// Loopback addresses and `localhost` are always reached directly. [`with_proxy`](Self::with_proxy) and
/// [`without_proxy`](Self::without_proxy) override all of this.
///
/// The URL of a proxy begins with `http` or `https`, and may contain user and password. The transport sends requests
/// for `http` to the proxy, and opens tunnels (`CONNECT`) for `https` and HTTP/2. SOCKS is not supported.
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
    /// Makes a transport for `http` URLs, and with the feature `tls` (on by default) for `https` URLs.
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

    /// Sets how long it may take to make a connection: name lookup, TCP, a proxy's tunnel, and TLS. Default 30 s. The
    /// wait for the response is not included: see [`with_idle_timeout`](crate::EventSource::with_idle_timeout).
    ///
    /// All addresses of a name are tried: the next one begins when the last one has failed, or has not answered for 250
    /// ms.
    #[must_use]
    pub fn with_connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Keeps HTTP/1.1 connections whose responses were read to the end, and uses them for later requests to the same
    /// server. For streams that end, such as answers of LLMs, this saves the next request the time for TCP and TLS. The
    /// transport and its clones keep at most 64 connections, for 15 s each. The next request closes connections that
    /// are too old.
    ///
    /// If a kept connection turns out to be closed and nothing of the request was sent, the request uses another
    /// connection. Otherwise it fails with [`TransportError::Broken`]. HTTP/2 connections are not kept, and neither are
    /// connections to a proxy that passes requests on.
    #[must_use]
    pub fn with_reuse(mut self) -> Self {
        self.pool = Some(Pool::default());
        self
    }

    /// Reaches every server through this proxy, loopback addresses and those in `NO_PROXY` too.
    ///
    /// A URL without a scheme gets `http`. A URL without a port gets the default port of its scheme.
    ///
    /// # Errors
    ///
    /// [`InvalidUrl`] if `url` is not the URL of a proxy, such as `http://user:password@proxy.example:3128`.
    pub fn with_proxy(mut self, url: &str) -> Result<Self, InvalidUrl> {
        self.proxies = Proxies::One(Arc::new(Proxy::parse(url)?));
        Ok(self)
    }

    /// Reaches every server directly and ignores the environment.
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

    /// Uses HTTP/1.1 only.
    #[must_use]
    pub fn with_http1_only(mut self) -> Self {
        self.allowed = Allowed::Http1;
        self
    }

    /// Uses HTTP/2 only. Without TLS it assumes that the server supports HTTP/2 ("prior knowledge"). With TLS, a server
    /// that does not support it is a failure to connect.
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
