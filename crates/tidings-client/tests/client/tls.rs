//! `https`: a stream opens only when the server proves its name.

use std::sync::Arc;

use tidings_client::{Cause, EventSource, HyperTransport, Item};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer},
    },
};

use crate::trace::{chain, take};

/// The two halves of a TLS identity for `name`: the server's configuration, and the certificate to trust.
pub(crate) fn identity(name: &str) -> (ServerConfig, CertificateDer<'static>) {
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    (config, cert.der().clone())
}

/// A server that answers each connection with one event, in TLS, as `name`. Returns its port and certificate.
async fn serve(name: &str) -> (u16, CertificateDer<'static>) {
    let (config, certificate) = identity(name);
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                // A client that does not trust the certificate leaves here.
                let Ok(mut stream) = acceptor.accept(socket).await else { return };
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") && stream.read_buf(&mut head).await.unwrap() > 0 {}
                let answer = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: secret\n\n";
                stream.write_all(answer).await.unwrap();
                stream.flush().await.unwrap();
                // Open until the client closes.
                let _ = stream.read(&mut [0]).await;
            });
        }
    });
    (port, certificate)
}

fn source(port: u16, trusted: &CertificateDer<'_>) -> EventSource {
    let transport = HyperTransport::new().with_trusted_certificate(trusted.to_vec());
    EventSource::get(&format!("https://localhost:{port}/")).unwrap().with_transport(Arc::new(transport))
}

async fn is_refused(mut source: EventSource) -> String {
    match source.next().await {
        Some(Ok(Item::Retrying { cause: Cause::Network(error), .. })) => chain(&error),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_stream_opens_over_tls() {
    let (port, certificate) = serve("localhost").await;
    assert_eq!(take(&mut source(port, &certificate), 2).await, ["opened", "message secret"]);
}

#[tokio::test]
async fn a_certificate_that_nobody_trusts_is_refused() {
    let (port, _) = serve("localhost").await;
    let (_, another) = serve("localhost").await;
    let error = is_refused(source(port, &another)).await;
    assert!(error.contains("invalid peer certificate"), "{error}");
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let (port, certificate) = serve("another.example").await;
    let error = is_refused(source(port, &certificate)).await;
    assert!(error.contains("not valid for name"), "{error}");
}

#[tokio::test]
async fn a_server_without_tls_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let _ = socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        let _ = socket.read(&mut [0; 1024]).await;
    });
    let (_, certificate) = serve("localhost").await;
    let error = is_refused(source(port, &certificate)).await;
    assert!(error.contains("cannot connect to localhost"), "{error}");
}
