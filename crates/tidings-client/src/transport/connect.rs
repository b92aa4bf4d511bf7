//! Makes a connection: proxy, TCP, tunnel, TLS.

use tokio::io::{AsyncRead, AsyncWrite};

use crate::{
    error::{BoxError, TransportError},
    transport::{address::Address, hyper::HyperTransport, protocol::Protocol, proxy::Proxy, tcp, tunnel},
};

/// The bytes of a connection, over any kind of socket.
pub(super) type Io = Box<dyn Duplex>;

/// Both directions of a connection.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Duplex for S {}

/// A connection, ready for a request.
pub(super) struct Connected {
    pub(super) io: Io,
    pub(super) protocol: Protocol,
    /// The proxy at the other end, if it passes requests on. A tunnel through a proxy ends at the server instead.
    pub(super) passed_on_by: Option<Proxy>,
}

impl HyperTransport {
    /// Connects to a server within the time limit, and agrees with it on a protocol.
    pub(super) async fn connect(&self, server: &Address<'_>) -> Result<Connected, TransportError> {
        let connecting = tokio::time::timeout(self.connect_timeout, self.connect_by_any_way(server));
        connecting.await.unwrap_or_else(|_| {
            let reason = format!("no connection within {:?}", self.connect_timeout);
            Err(server.unreachable(reason))
        })
    }

    async fn connect_by_any_way(&self, server: &Address<'_>) -> Result<Connected, TransportError> {
        let Some(proxy) = self.proxies.proxy_to(server)? else {
            let stream = tcp::connect(server).await.map_err(|error| server.unreachable(error))?;
            return self.agree(Box::new(stream), server).await;
        };
        let io = self.connect_to_proxy(&proxy, server).await?;
        if !server.is_secure && self.allowed.in_the_clear() == Protocol::Http1 {
            return Ok(Connected { io, protocol: Protocol::Http1, passed_on_by: Some(proxy) });
        }
        let io = tunnel::open(io, &proxy, server).await?;
        self.agree(io, server).await
    }

    async fn connect_to_proxy(&self, proxy: &Proxy, server: &Address<'_>) -> Result<Io, TransportError> {
        let address = proxy.address()?;
        let failed =
            |error: BoxError| server.unreachable(format!("proxy {proxy} cannot be reached: {error}"));
        let stream = tcp::connect(&address).await.map_err(|error| failed(error.into()))?;
        #[cfg(feature = "tls")]
        if address.is_secure {
            let offered = &[Protocol::Http1];
            let (stream, _) = self.tls.connect(address.host, stream, offered).await.map_err(failed)?;
            return Ok(Box::new(stream));
        }
        Ok(Box::new(stream))
    }

    /// Begins TLS if the URL requires it, and finds the protocol to speak.
    async fn agree(&self, io: Io, server: &Address<'_>) -> Result<Connected, TransportError> {
        #[cfg(feature = "tls")]
        if server.is_secure {
            let agreed = self.tls.connect(server.host, io, self.allowed.offered()).await;
            let (stream, protocol) = agreed.map_err(|error| server.unreachable(error))?;
            return Ok(Connected { io: Box::new(stream), protocol, passed_on_by: None });
        }
        let _ = server;
        Ok(Connected { io, protocol: self.allowed.in_the_clear(), passed_on_by: None })
    }
}
