//! A connection: TCP, with TLS if the URL requires it, or QUIC.

use std::{io, sync::Arc, time::Duration};

use anyhow::{Context, anyhow, bail};
use http::Uri;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{self, ClientConfig, RootCertStore, crypto::ring, pki_types::ServerName},
};

use super::{Tape, Way, quic};
use crate::doctor::observation::Protocol;

/// The time limit for the whole connection setup.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

pub(super) struct Connected {
    pub(super) transport: Transport,
    pub(super) protocol: Protocol,
    /// Stays empty for QUIC, whose packets cannot be read without their keys.
    pub(super) tape: Tape,
}

pub(super) enum Transport {
    Tcp(Box<dyn Io>),
    Quic(quinn::Connection),
}

pub(super) trait Io: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

pub(super) async fn connect(url: &Uri, way: &Way) -> anyhow::Result<Connected> {
    timeout(CONNECT_TIMEOUT, connect_to(url, way)).await.map_err(|_| anyhow!("it took longer than 5 s"))?
}

async fn connect_to(url: &Uri, way: &Way) -> anyhow::Result<Connected> {
    let name = url.host().context("the URL names no host")?.trim_matches(['[', ']']);
    let port = url.port_u16().unwrap_or(if way.tls.is_some() { 443 } else { 80 });
    if let (Some(Protocol::Http3), Some(config)) = (way.protocol, &way.tls) {
        let there = way.connect_to.clone().unwrap_or_else(|| format!("{name}:{port}"));
        let transport = Transport::Quic(quic::connect(&there, name, config).await?);
        return Ok(Connected { transport, protocol: Protocol::Http3, tape: Tape::default() });
    }
    let stream = match &way.connect_to {
        Some(there) => TcpStream::connect(there.as_str()).await.with_context(|| there.clone())?,
        None => TcpStream::connect((name, port)).await.with_context(|| format!("{name} port {port}"))?,
    };
    let _ = stream.set_nodelay(true);
    let tape = Tape::default();
    let Some(config) = &way.tls else {
        let protocol = way.protocol.unwrap_or(Protocol::Http1);
        return Ok(Connected { transport: Transport::Tcp(Box::new(tape.record(stream))), protocol, tape });
    };
    let offer = match way.protocol {
        None | Some(Protocol::Http3) => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        Some(Protocol::Http1) => vec![b"http/1.1".to_vec()],
        Some(Protocol::Http2) => vec![b"h2".to_vec()],
    };
    let server = ServerName::try_from(name.to_owned()).with_context(|| name.to_owned())?;
    let stream = TlsConnector::from(config.clone())
        .with_alpn(offer)
        .connect(server, stream)
        .await
        .map_err(|error| if is_no_tls(&error) { anyhow!(NoTls(error.to_string())) } else { anyhow!(error) })
        .with_context(|| format!("TLS with {name}"))?;
    let protocol = match stream.get_ref().1.alpn_protocol() {
        Some(b"h2") => Protocol::Http2,
        // A server that does not know the negotiation speaks HTTP/1.1.
        _ if way.protocol == Some(Protocol::Http2) => bail!("the server does not offer HTTP/2"),
        _ => Protocol::Http1,
    };
    Ok(Connected { transport: Transport::Tcp(Box::new(tape.record(stream))), protocol, tape })
}

/// A program listens, but does not speak TLS, or disconnects during the TLS handshake.
#[derive(Debug)]
pub(super) struct NoTls(String);

impl std::fmt::Display for NoTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the server does not speak TLS ({}); try http://", self.0)
    }
}

impl std::error::Error for NoTls {}

/// Whether the error shows that the server does not speak TLS. An alert, or a certificate that is not trusted, is TLS.
fn is_no_tls(error: &io::Error) -> bool {
    let error = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
    matches!(error, None | Some(rustls::Error::InvalidMessage(_)))
}

/// The certificates that this machine trusts, by the same rules as in tidings-client.
pub(super) fn trust() -> anyhow::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        bail!("this machine trusts no certificates; install ca-certificates");
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}
