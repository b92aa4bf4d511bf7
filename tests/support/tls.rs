//! A certificate for the hubs of a test binary, and clients that trust it and nothing else.

use std::{
    fs,
    path::PathBuf,
    sync::{Arc, OnceLock},
};

use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, ServerName},
    },
};

/// A certificate with its key, in files.
pub struct Certificate {
    directory: TempDir,
    der: CertificateDer<'static>,
}

impl Certificate {
    /// A new one, for 127.0.0.1.
    pub fn new() -> Certificate {
        let directory = TempDir::new().expect("a temporary directory");
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
        let certificate = Certificate { directory, der: made.cert.der().clone() };
        fs::write(certificate.file(), pem("CERTIFICATE", &certificate.der)).expect("a file");
        fs::write(certificate.key(), pem("PRIVATE KEY", &made.signing_key.serialize_der())).expect("a file");
        certificate
    }

    /// The one of all hubs of this test binary.
    pub fn of_all() -> &'static Certificate {
        static ALL: OnceLock<Certificate> = OnceLock::new();
        ALL.get_or_init(Certificate::new)
    }

    pub fn file(&self) -> PathBuf {
        self.directory.path().join("certificate.pem")
    }

    pub fn key(&self) -> PathBuf {
        self.directory.path().join("key.pem")
    }

    /// The flags with which a hub uses it.
    pub fn flags(&self) -> [String; 4] {
        let path = |path: PathBuf| path.to_str().expect("a path of letters").to_owned();
        ["--tls-cert".into(), path(self.file()), "--tls-key".into(), path(self.key())]
    }

    /// Opens a TLS session with a hub that has this certificate.
    pub async fn connect(&self, address: &str, protocol: &str) -> std::io::Result<TlsStream<TcpStream>> {
        connect(&self.der, address, protocol).await
    }
}

/// Opens a TLS session with the server that has `certificate`, and speaks `protocol`.
pub async fn connect(
    certificate: &CertificateDer<'static>,
    address: &str,
    protocol: &str,
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).expect("it can be trusted");
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring has them")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.into()];
    let socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    let name = ServerName::try_from("127.0.0.1").expect("an address");
    let stream = TlsConnector::from(Arc::new(config)).connect(name, socket).await?;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(protocol.as_bytes()), "it is agreed on");
    Ok(stream)
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, der);
    format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
}
