//! TLS: the certificate that connections are encrypted with.

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
        server::{ClientHello, ResolvesServerCert},
        sign::CertifiedKey,
    },
    server::TlsStream,
};

/// How HTTP/2 and HTTP/1.1 are called in TLS, the one that is preferred first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// A certificate with its key, for [`Hub::serve_tls`](crate::Hub::serve_tls): a cheap handle, to be cloned.
///
/// TLS 1.2 and 1.3 by rustls; HTTP/2 and HTTP/1.1 are offered (ALPN), and a client that asks for neither gets HTTP/1.1.
#[derive(Clone)]
pub struct Tls {
    current: Arc<Current>,
    config: Arc<ServerConfig>,
}

/// The certificate that new connections get.
#[derive(Debug)]
struct Current(RwLock<Arc<CertifiedKey>>);

/// An error of a library, whose type is not part of this crate's API.
type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A certificate or key that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidCertificate {
    /// The text has no certificate in PEM, or one that is cut off.
    #[error("the certificate is not in PEM (-----BEGIN CERTIFICATE-----)")]
    Certificate(#[source] Option<BoxError>),
    /// The text has no private key in PEM, or one that is cut off or encrypted.
    #[error("the private key is not in PEM, without a password (-----BEGIN PRIVATE KEY-----)")]
    Key(#[source] BoxError),
    /// The key is of a kind that is not supported, or belongs to another certificate.
    #[error("the key does not serve the certificate")]
    Mismatch(#[source] BoxError),
}

impl Tls {
    /// Reads a certificate, those that lead from it to its root, and its key, as PEM.
    ///
    /// The key may be PKCS#8, PKCS#1 or SEC1, of RSA, ECDSA (P-256, P-384) or Ed25519. Both may be in the same file.
    ///
    /// # Errors
    /// If they are not PEM, or do not belong together. Names and times are not checked: clients check them.
    pub fn from_pem(certificates: &[u8], key: &[u8]) -> Result<Tls, InvalidCertificate> {
        let current = Arc::new(Current(RwLock::new(Arc::new(certified(certificates, key)?))));
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| InvalidCertificate::Mismatch(error.into()))?
            .with_no_client_auth()
            .with_cert_resolver(current.clone());
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).into();
        Ok(Tls { current, config: Arc::new(config) })
    }

    /// Gives new connections another certificate; those that are open keep theirs.
    ///
    /// # Errors
    /// As [`from_pem`](Tls::from_pem); then the old one stays.
    pub fn replace(&self, certificates: &[u8], key: &[u8]) -> Result<(), InvalidCertificate> {
        let new = Arc::new(certified(certificates, key)?);
        *self.current.0.write().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(())
    }

    /// Opens a TLS session with a client; says whether the two agreed on HTTP/2.
    pub(crate) async fn accept<S>(&self, socket: S) -> std::io::Result<(TlsStream<S>, bool)>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let stream = TlsAcceptor::from(self.config.clone()).accept(socket).await?;
        let is_http2 = stream.get_ref().1.alpn_protocol() == Some(PROTOCOLS[0]);
        Ok((stream, is_http2))
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

fn certified(certificates: &[u8], key: &[u8]) -> Result<CertifiedKey, InvalidCertificate> {
    let chain = CertificateDer::pem_slice_iter(certificates)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| InvalidCertificate::Certificate(Some(error.into())))?;
    if chain.is_empty() {
        return Err(InvalidCertificate::Certificate(None));
    }
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| InvalidCertificate::Key(error.into()))?;
    CertifiedKey::from_der(chain, key, &ring::default_provider())
        .map_err(|error| InvalidCertificate::Mismatch(error.into()))
}
