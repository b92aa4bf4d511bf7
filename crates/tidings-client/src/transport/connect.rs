//! How a connection comes about: name, TCP, TLS.

use http::Uri;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

use crate::{
    error::{BoxError, TransportError},
    transport::{hyper::HyperTransport, protocol::Protocol},
};

/// The bytes of a connection, whatever is below them.
pub(super) type Io = Box<dyn Duplex>;

/// Both directions of a connection.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Duplex for S {}

impl HyperTransport {
    /// Connects to the server of a URL, and agrees with it on a protocol.
    pub(super) async fn connect(&self, url: &Uri) -> Result<(Io, Protocol), TransportError> {
        let address = Address::of(url)?;
        let connected = self.connect_to(&address).await;
        connected.map_err(|source| TransportError::Connect { authority: address.authority(), source })
    }

    async fn connect_to(&self, address: &Address<'_>) -> Result<(Io, Protocol), BoxError> {
        let stream = TcpStream::connect((address.host, address.port)).await?;
        // Without it, the second small piece of a published stream waits for the first one's acknowledgement. An error
        // costs only that delay.
        let _ = stream.set_nodelay(true);
        #[cfg(feature = "tls")]
        if address.is_secure {
            let (stream, protocol) = self.tls.connect(address.host, stream, self.allowed.offered()).await?;
            return Ok((Box::new(stream), protocol));
        }
        Ok((Box::new(stream), self.allowed.in_the_clear()))
    }
}

/// Where to connect to.
struct Address<'a> {
    host: &'a str,
    port: u16,
    #[cfg(feature = "tls")]
    is_secure: bool,
}

impl<'a> Address<'a> {
    fn of(url: &'a Uri) -> Result<Self, TransportError> {
        let unsupported = |reason| TransportError::Unsupported { url: url.clone(), reason };
        let default_port = match url.scheme_str() {
            Some("http") => 80,
            Some("https") if cfg!(feature = "tls") => 443,
            Some("https") => return Err(unsupported("this build has no TLS")),
            _ => return Err(unsupported("its scheme is neither `http` nor `https`")),
        };
        let host = url.host().ok_or_else(|| unsupported("it names no host"))?;
        // An IPv6 address is in brackets in a URL, and without them everywhere else.
        let host = host.trim_start_matches('[').trim_end_matches(']');
        Ok(Self {
            host,
            port: url.port_u16().unwrap_or(default_port),
            #[cfg(feature = "tls")]
            is_secure: default_port == 443,
        })
    }

    fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}
