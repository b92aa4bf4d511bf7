//! A listener that takes the HTTP/1.1 of the tests, and brings it to a hub another way.

use std::{convert::Infallible, net::SocketAddr, thread};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, combinators::UnsyncBoxBody};
use hyper::{
    HeaderMap, Request, Response, StatusCode, Uri, Version,
    body::Incoming,
    client::conn::http2::{self, SendRequest},
    header,
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncRead, AsyncWrite, copy_bidirectional},
    net::{TcpListener, TcpStream},
    sync::oneshot,
};

use super::{
    tls::Certificate,
    way::{Way, way},
};

/// Ends with what goes through it when dropped.
pub struct Front {
    pub address: String,
    end: Option<oneshot::Sender<Infallible>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Front {
    /// Listens on `address` for the hub at `hub`.
    pub fn start(address: &str, hub: String) -> Front {
        let listener = std::net::TcpListener::bind(address).expect("the address is free");
        listener.set_nonblocking(true).expect("the socket is open");
        let address = listener.local_addr().expect("it is bound").to_string();
        let (end, ended) = oneshot::channel();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let listener = TcpListener::from_std(listener).expect("the socket is open");
                tokio::select! {
                    () = accept(listener, hub) => {}
                    _ = ended => {}
                }
            });
        });
        Front { address, end: Some(end), thread: Some(thread) }
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn accept(listener: TcpListener, hub: String) {
    loop {
        let (client, _) = listener.accept().await.expect("there are descriptors left");
        client.set_nodelay(true).expect("the socket is open");
        tokio::spawn(bring(client, hub.clone()));
    }
}

/// A hub that is gone, or ends the connection, ends it for the client too.
async fn bring(mut client: TcpStream, hub: String) {
    match way() {
        Way::Plain => unreachable!("nothing is in front of it"),
        Way::Tls => {
            if let Ok(mut stream) = Certificate::of_all().connect(&hub, "http/1.1").await {
                let _ = copy_bidirectional(&mut client, &mut stream).await;
            }
        }
        Way::TlsHttp2 => {
            if let Ok(stream) = Certificate::of_all().connect(&hub, "h2").await {
                translate(client, stream).await;
            }
        }
        Way::Http2 => {
            if let Ok(stream) = TcpStream::connect(&hub).await {
                stream.set_nodelay(true).expect("the socket is open");
                translate(client, stream).await;
            }
        }
    }
}

async fn translate<S>(client: TcpStream, hub: S)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let hub = http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(65_535)
        .handshake(TokioIo::new(hub))
        .await;
    let Ok((sender, connection)) = hub else { return };
    let connection = tokio::spawn(connection);
    let service = service_fn(|request| ask(sender.clone(), request));
    let mut server = http1::Builder::new();
    let _ = server.max_buf_size(16 << 10).serve_connection(TokioIo::new(client), service).await;
    connection.abort();
}

async fn ask(
    mut sender: SendRequest<Incoming>,
    request: Request<Incoming>,
) -> hyper::Result<Response<UnsyncBoxBody<Bytes, hyper::Error>>> {
    let (mut parts, body) = request.into_parts();
    let host = parts.headers.remove(header::HOST);
    let host = host.as_ref().and_then(|host| host.to_str().ok()).unwrap_or_default();
    let host = parts.uri.authority().map_or(host, |authority| authority.as_str());
    let target = parts.uri.path_and_query().cloned().expect("tests ask for paths");
    let Ok(uri) = Uri::builder().scheme("http").authority(host).path_and_query(target).build() else {
        // No client of HTTP/2 can send it.
        let mut refusal = Response::new(Empty::new().map_err(|never| match never {}).boxed_unsync());
        *refusal.status_mut() = StatusCode::BAD_REQUEST;
        return Ok(refusal);
    };
    parts.uri = uri;
    parts.version = Version::HTTP_2;
    strip(&mut parts.headers);
    sender.ready().await?;
    let response = sender.send_request(Request::from_parts(parts, body)).await?;
    assert_eq!(response.headers().get(header::CONNECTION), None, "HTTP/2 has no such field");
    let (mut parts, body) = response.into_parts();
    parts.version = Version::HTTP_11;
    Ok(Response::from_parts(parts, body.boxed_unsync()))
}

/// Removes the headers that belong to a connection of HTTP/1.1.
fn strip(headers: &mut HeaderMap) {
    for name in [header::CONNECTION, header::TRANSFER_ENCODING, header::EXPECT] {
        headers.remove(name);
    }
}

/// The address on which a hub listens whose clients come to `address`.
pub fn behind(address: &str) -> &str {
    match way() {
        Way::Plain => address,
        _ => "127.0.0.1:0",
    }
}

/// The address at which a hub says that it listens.
pub fn listening(line: &str) -> Option<SocketAddr> {
    let (_, url) = line.trim().split_once("listens on ")?;
    url.split_once("://")?.1.parse().ok()
}
