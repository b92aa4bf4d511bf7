//! HTTP/3: a QUIC connection, and the body of its response.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use anyhow::{Context as _, anyhow};
use bytes::{Buf, Bytes};
use h3::client::RequestStream;
use h3_quinn::BidiStream;
use http_body::{Body, Frame};
use quinn::{ClientConfig, Endpoint, crypto::rustls::QuicClientConfig};
use tokio::{net::lookup_host, time::timeout};
use tokio_rustls::rustls;

use super::Error;

/// The time limit for an address. A closed UDP port gives no answer.
const ADDRESS_TIMEOUT: Duration = Duration::from_secs(2);

/// Connects to `there`, `HOST:PORT`. Its certificate must be for `name`.
pub(super) async fn connect(
    there: &str,
    name: &str,
    config: &rustls::ClientConfig,
) -> anyhow::Result<quinn::Connection> {
    let mut config = config.clone();
    config.alpn_protocols = vec![b"h3".to_vec()];
    let config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(config)?));
    let mut last = anyhow!("{there} has no address");
    for address in lookup_host(there).await.with_context(|| there.to_owned())? {
        let from: SocketAddr = match address {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        // The endpoint lives as long as its connection.
        let endpoint = Endpoint::client(from)?;
        let connecting = endpoint.connect_with(config.clone(), address, name)?;
        match timeout(ADDRESS_TIMEOUT, connecting).await {
            Ok(Ok(connection)) => return Ok(connection),
            Ok(Err(error)) => last = anyhow::Error::new(error).context(format!("QUIC with {address}")),
            Err(_) => last = anyhow!("no answer from {address} over UDP"),
        }
    }
    Err(last)
}

/// The body of a response over HTTP/3.
pub(super) struct QuicBody(pub(super) RequestStream<BidiStream<Bytes>, Bytes>);

impl Body for QuicBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let data = ready!(self.0.poll_recv_data(context))?;
        Poll::Ready(data.map(|mut data| Ok(Frame::data(data.copy_to_bytes(data.remaining())))))
    }
}
