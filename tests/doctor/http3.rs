//! HTTP/3, where a server offers it beside HTTP/1.1: stand-ins that spoil it there alone.

use std::{net::SocketAddr, sync::Arc};

use bytes::Bytes;
use h3::server::RequestResolver;
use http::{HeaderValue, Request, Response, header::ALT_SVC};
use http_body_util::BodyExt;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use quinn::{Endpoint, ServerConfig};
use tidings_hub::probe::Probes;
use tokio::net::TcpListener;
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        self,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
};

use crate::{rules, run, support::tls::Certificate};

/// The server's behaviour over HTTP/3.
#[derive(Clone, Copy)]
enum Fault {
    /// Keeps the stream until it has ended.
    Hold,
    /// Breaks the connection off.
    Close,
}

/// The server, and the certificate that it has.
struct Server {
    address: SocketAddr,
    certificate: Certificate,
}

impl Server {
    async fn start(fault: Fault) -> Server {
        let certificate = Certificate::new();
        let quic = quinn::crypto::rustls::QuicServerConfig::try_from(tls(&certificate, b"h3")).unwrap();
        let quic = ServerConfig::with_crypto(Arc::new(quic));
        let endpoint = Endpoint::server(quic, "127.0.0.1:0".parse().unwrap()).unwrap();
        let offer = format!("h3=\":{}\"; ma=60", endpoint.local_addr().unwrap().port());
        tokio::spawn(async move {
            while let Some(incoming) = endpoint.accept().await {
                tokio::spawn(serve_http3(incoming, fault));
            }
        });

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(tls(&certificate, b"http/1.1")));
        let (probes, offer) = (Probes::default(), HeaderValue::from_str(&offer).unwrap());
        tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let (acceptor, probes, offer) = (acceptor.clone(), probes.clone(), offer.clone());
                tokio::spawn(async move {
                    let Ok(socket) = acceptor.accept(socket).await else { return };
                    let service = service_fn(|request: Request<Incoming>| {
                        let mut response = probes.answer(&request.into_parts().0);
                        response.headers_mut().insert(ALT_SVC, offer.clone());
                        async move { Ok::<_, std::convert::Infallible>(response) }
                    });
                    let _ = http1::Builder::new().serve_connection(TokioIo::new(socket), service).await;
                });
            }
        });
        Server { address, certificate }
    }

    /// The doctor's findings.
    async fn examine(&self) -> (Option<i32>, serde_json::Value) {
        let url = format!("https://{}/events", self.address);
        let certificate = self.certificate.file();
        let trust = [("SSL_CERT_FILE", certificate.to_str().unwrap())];
        let (code, out) = run(&[&url, "--json"], &trust).await;
        (code, serde_json::from_str(&out).unwrap())
    }
}

fn tls(certificate: &Certificate, alpn: &[u8]) -> rustls::ServerConfig {
    let chain = vec![CertificateDer::from_pem_file(certificate.file()).unwrap()];
    let key = PrivateKeyDer::from_pem_file(certificate.key()).unwrap();
    let mut config = rustls::ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    config.alpn_protocols = vec![alpn.to_vec()];
    config
}

async fn serve_http3(incoming: quinn::Incoming, fault: Fault) {
    let Ok(connection) = incoming.await else { return };
    let quic = connection.clone();
    let Ok(mut connection) = h3::server::Connection::new(h3_quinn::Connection::new(connection)).await else {
        return;
    };
    while let Ok(Some(request)) = connection.accept().await {
        match fault {
            Fault::Hold => drop(tokio::spawn(hold(request))),
            Fault::Close => quic.close(0x0102_u32.into(), b"H3_INTERNAL_ERROR"),
        }
    }
}

async fn hold(request: RequestResolver<h3_quinn::Connection, Bytes>) {
    let Ok((request, mut stream)) = request.resolve_request().await else { return };
    let (head, body) = Probes::default().answer(&request.into_parts().0).into_parts();
    let whole = body.collect().await.unwrap().to_bytes();
    let _ = stream.send_response(Response::from_parts(head, ())).await;
    let _ = stream.send_data(whole).await;
    let _ = stream.finish().await;
}

#[tokio::test]
async fn a_stream_that_is_held_back_over_http3_alone_is_found() {
    let (code, report) = Server::start(Fault::Hold).await.examine().await;
    assert_eq!((code, rules(&report)), (Some(1), vec!["buffered-http3"]), "{report}");
    let measured = report["findings"][0]["measured"].as_str().unwrap();
    assert!(measured.starts_with("HTTP/3: all 30 events arrived together"), "{measured}");
    assert!(measured.ends_with("HTTP/1.1: event by event"), "{measured}");
}

#[tokio::test]
async fn requests_that_fail_over_http3_alone_are_found() {
    let (code, report) = Server::start(Fault::Close).await.examine().await;
    assert_eq!((code, rules(&report)), (Some(1), vec!["http3-error"]), "{report}");
}
