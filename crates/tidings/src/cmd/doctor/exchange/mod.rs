//! One request, and what came back when.
//!
//! Not the client of `tidings subscribe`: that one follows, decodes and retries, and here nothing may come between the
//! socket and the clock.

mod connect;
mod tape;
mod unpack;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Uri, Version, header};
use http_body_util::{BodyExt, Full};
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tidings_codec::Decoder;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::rustls::ClientConfig;

use self::{
    connect::{Connected, connect},
    tape::Tape,
    unpack::Unpack,
};
use super::observation::{End, Head, Protocol, Read, Seen};

/// The most bytes of a body that are read; a stream is judged by its beginning.
const MAX_BODY_BYTES: usize = 4 << 20;

/// How a server is reached.
#[derive(Clone, Debug)]
pub(super) struct Way {
    /// `HOST:PORT` to connect to, instead of where the URL says.
    pub(super) connect_to: Option<String>,
    /// Which versions of HTTP may be spoken; `None` for what TLS negotiates.
    pub(super) protocol: Option<Protocol>,
    pub(super) tls: Option<Arc<ClientConfig>>,
}

/// What is asked for, and for how long.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    pub(super) method: Method,
    pub(super) url: Uri,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// How long the whole exchange may take. What has come by then is what was seen.
    pub(super) within: Duration,
}

impl Way {
    /// The way that the flags name, for a URL with this scheme.
    pub(super) fn new(
        url: &Uri,
        connect_to: Option<String>,
        protocol: Option<Protocol>,
    ) -> anyhow::Result<Way> {
        let tls = (url.scheme_str() == Some("https")).then(connect::trust).transpose()?;
        Ok(Way { connect_to, protocol, tls })
    }

    /// The same way by another version of HTTP.
    pub(super) fn by(&self, protocol: Protocol) -> Way {
        Way { protocol: Some(protocol), ..self.clone() }
    }
}

/// Asks, and watches until the answer has ended or the time is up. Dropped, it closes the connection.
pub(super) async fn exchange(ask: &Ask, way: &Way) -> Seen {
    let began = Instant::now();
    let until = began + ask.within;
    let mut seen = Seen::default();
    let connected = match timeout_at(until, connect(&ask.url, way)).await {
        Ok(Ok(connected)) => connected,
        Ok(Err(error)) => {
            seen.end = End::Unreachable(format!("{error:#}"));
            return seen;
        }
        Err(_) => {
            seen.end = End::Unreachable("nobody answered in time".into());
            return seen;
        }
    };
    seen.connected = Some(began.elapsed());
    seen.protocol = Some(connected.protocol);
    let tape = connected.tape.clone();
    let answered = timeout_at(until, watch(ask, connected, began, &mut seen)).await;
    seen.ended = began.elapsed();
    seen.end = match answered {
        Ok(Ok(end)) => end,
        Ok(Err(error)) => End::Broken(chain(&*error)),
        Err(_) => End::Open,
    };
    seen.first_bytes = tape.bytes();
    seen
}

type Error = Box<dyn std::error::Error + Send + Sync>;

async fn watch(ask: &Ask, connected: Connected, began: Instant, seen: &mut Seen) -> Result<End, Error> {
    let response = match connected.protocol {
        Protocol::Http1 => {
            let (mut sender, connection) = http1::handshake(TokioIo::new(connected.io)).await?;
            let driver = Driver(tokio::spawn(async move { drop(connection.await) }));
            (sender.send_request(request(ask, Protocol::Http1)?).await?, Some(driver), None)
        }
        Protocol::Http2 => {
            let (mut sender, connection) =
                http2::handshake(TokioExecutor::new(), TokioIo::new(connected.io)).await?;
            let driver = Driver(tokio::spawn(async move { drop(connection.await) }));
            // The sender lives as long as the body: without it the connection says good-bye.
            (sender.send_request(request(ask, Protocol::Http2)?).await?, Some(driver), Some(sender))
        }
    };
    let (response, _driver, _sender) = response;
    seen.head = Some(Head {
        at: began.elapsed(),
        status: response.status().as_u16(),
        headers: response.headers().clone(),
    });
    let coding = seen.header("content-encoding").map(str::to_ascii_lowercase);
    read(response.into_body(), Unpack::of(coding.as_deref()), began, seen).await
}

async fn read(mut body: Incoming, mut unpack: Unpack, began: Instant, seen: &mut Seen) -> Result<End, Error> {
    seen.is_decoded = unpack.is_known();
    let (mut decoder, mut total) = (Decoder::new(), 0);
    while let Some(frame) = body.frame().await {
        let at = began.elapsed();
        let Ok(bytes) = frame?.into_data() else { continue };
        if bytes.is_empty() {
            continue;
        }
        total += bytes.len();
        let plain = unpack.plain(&bytes)?;
        seen.reads.push(Read { at, bytes: bytes.len() });
        seen.take(at, &plain, &mut decoder);
        if total >= MAX_BODY_BYTES {
            return Ok(End::Enough);
        }
    }
    Ok(End::Complete)
}

fn request(ask: &Ask, protocol: Protocol) -> Result<Request<Full<Bytes>>, Error> {
    let mut request = Request::new(Full::new(ask.body.clone()));
    *request.method_mut() = ask.method.clone();
    *request.headers_mut() = ask.headers.clone();
    match protocol {
        Protocol::Http1 => {
            let authority = ask.url.authority().ok_or("the URL names no host")?.as_str();
            if !ask.headers.contains_key(header::HOST) {
                request.headers_mut().insert(header::HOST, authority.parse()?);
            }
            *request.uri_mut() = ask.url.path_and_query().map_or("/", |path| path.as_str()).parse()?;
        }
        Protocol::Http2 => {
            *request.version_mut() = Version::HTTP_2;
            request.headers_mut().remove(header::HOST);
            *request.uri_mut() = ask.url.clone();
        }
    }
    Ok(request)
}

/// The task that drives a connection; it ends with the exchange.
struct Driver(tokio::task::JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut texts = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(error) = cause {
        texts.push(error.to_string());
        cause = error.source();
    }
    texts.join(": ")
}
