//! A server by hyper, for tests that raw sockets cannot script: HTTP/2 with and without TLS.

use std::{
    future::Future,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt;
use hyper::{
    body::Incoming,
    rt::Executor,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tidings_client::{HyperTransport, RequestBody};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    sync::watch,
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

use crate::tls::identity;

/// The protocol by which clients reach the server.
#[derive(Clone, Copy)]
pub(crate) enum Way {
    /// HTTP/2 without TLS.
    Clear,
    /// TLS with a server that supports these protocols.
    Tls(&'static [&'static [u8]]),
}

pub(crate) const BY_H2: Way = Way::Tls(&[b"h2"]);

/// A running server; it stops when it is dropped.
pub(crate) struct HyperServer {
    pub(crate) url: String,
    /// Trusts the server, and speaks HTTP/2 in the clear if the server does.
    pub(crate) transport: HyperTransport,
    requests: Arc<Mutex<Vec<Request<Bytes>>>>,
    open: watch::Receiver<usize>,
    accepted: Arc<AtomicUsize>,
    _accepting: JoinSet<()>,
}

impl HyperServer {
    /// Serves the response that `script` makes of each request.
    pub(crate) async fn start<F>(way: Way, script: F) -> Self
    where
        F: Fn(&Request<Bytes>) -> Response<RequestBody> + Clone + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (mut config, certificate) = identity("localhost");
        let transport = HyperTransport::new().with_trusted_certificate(certificate.to_vec());
        let (url, transport) = match way {
            Way::Clear => (format!("http://localhost:{port}/stream"), transport.with_http2_only()),
            Way::Tls(protocols) => {
                config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
                (format!("https://localhost:{port}/stream"), transport)
            }
        };
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (opened, open) = watch::channel(0);
        let accepted = Arc::new(AtomicUsize::new(0));
        let mut accepting = JoinSet::new();
        accepting.spawn({
            let (requests, accepted) = (Arc::clone(&requests), Arc::clone(&accepted));
            async move {
                let mut connections = JoinSet::new();
                loop {
                    let (socket, _) = listener.accept().await.unwrap();
                    socket.set_nodelay(true).unwrap();
                    accepted.fetch_add(1, Relaxed);
                    opened.send_modify(|open| *open += 1);
                    let (acceptor, script) = (acceptor.clone(), script.clone());
                    let (requests, opened) = (Arc::clone(&requests), opened.clone());
                    connections.spawn(async move {
                        match way {
                            Way::Clear => serve(socket, true, script, requests).await,
                            Way::Tls(_) => {
                                if let Ok(stream) = acceptor.accept(socket).await {
                                    let is_h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                                    serve(stream, is_h2, script, requests).await;
                                }
                            }
                        }
                        opened.send_modify(|open| *open -= 1);
                    });
                }
            }
        });
        Self { url, transport, requests, open, accepted, _accepting: accepting }
    }

    /// The requests so far.
    pub(crate) fn requests(&self) -> Vec<Request<Bytes>> {
        self.requests.lock().unwrap().clone()
    }

    /// How many connections the server has accepted.
    pub(crate) fn accepted(&self) -> usize {
        self.accepted.load(Relaxed)
    }

    /// Waits until no connection is open.
    pub(crate) async fn all_closed(&self) {
        self.open.clone().wait_for(|open| *open == 0).await.unwrap();
    }
}

async fn serve<S, F>(stream: S, is_h2: bool, script: F, requests: Arc<Mutex<Vec<Request<Bytes>>>>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    F: Fn(&Request<Bytes>) -> Response<RequestBody> + Clone + Send + 'static,
{
    let service = service_fn(move |request: Request<Incoming>| {
        let (script, requests) = (script.clone(), Arc::clone(&requests));
        async move {
            let (head, body) = request.into_parts();
            let request = Request::from_parts(head, body.collect().await?.to_bytes());
            let response = script(&request);
            requests.lock().unwrap().push(request);
            Ok::<_, hyper::Error>(response)
        }
    });
    // The client may close at any time.
    let _ = if is_h2 {
        http2::Builder::new(Spawn).serve_connection(TokioIo::new(stream), service).await
    } else {
        http1::Builder::new().serve_connection(TokioIo::new(stream), service).await
    };
}

/// The server has tasks; the client has none.
#[derive(Clone)]
struct Spawn;

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Spawn {
    fn execute(&self, future: F) {
        tokio::spawn(future);
    }
}
