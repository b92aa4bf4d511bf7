//! `https`, by rustls.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, ServerName},
    },
};

use crate::{error::BoxError, transport::protocol::Protocol};

/// The certificates that a transport trusts. Those of the operating system are read once, at the first `https` URL.
#[derive(Clone, Default)]
pub(super) struct Tls {
    extra: Vec<CertificateDer<'static>>,
    config: Arc<OnceLock<Arc<ClientConfig>>>,
}

impl Tls {
    pub(super) fn trust(&mut self, der: Vec<u8>) {
        self.extra.push(der.into());
        // Clones made before this call, which trust less, keep their own set.
        self.config = Arc::default();
    }

    /// Opens a TLS session with `host`. The server must prove its name and choose one of the `offered` protocols.
    pub(super) async fn connect<S>(
        &self,
        host: &str,
        stream: S,
        offered: &[Protocol],
    ) -> Result<(TlsStream<S>, Protocol), BoxError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let name = ServerName::try_from(host.to_owned())?;
        let config = match self.config.get() {
            Some(config) => config.clone(),
            None => {
                // Reading some hundred files blocks the thread. It happens once.
                let this = self.clone();
                let config = tokio::task::spawn_blocking(move || this.configure()).await??;
                self.config.get_or_init(|| Arc::new(config)).clone()
            }
        };
        let offer = offered.iter().map(|protocol| protocol.alpn().to_vec()).collect();
        let stream = TlsConnector::from(config).with_alpn(offer).connect(name, stream).await?;
        // A server that does not know the extension speaks HTTP/1.1.
        let protocol = match stream.get_ref().1.alpn_protocol() {
            Some(name) => offered.iter().find(|protocol| protocol.alpn() == name),
            None => offered.iter().find(|protocol| **protocol == Protocol::Http1),
        };
        let protocol = *protocol.ok_or("the server does not speak HTTP/2, and nothing else is allowed")?;
        Ok((stream, protocol))
    }

    fn configure(&self) -> Result<ClientConfig, BoxError> {
        let mut roots = RootCertStore::empty();
        let native = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(native.certs);
        for certificate in &self.extra {
            roots.add(certificate.clone())?;
        }
        if roots.is_empty() {
            let cause =
                native.errors.into_iter().next().map_or_else(String::new, |error| format!(" ({error})"));
            return Err(format!("this machine trusts no certificates{cause}; install ca-certificates").into());
        }
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(config)
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("extra", &self.extra.len()).finish_non_exhaustive()
    }
}
