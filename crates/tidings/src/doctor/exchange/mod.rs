//! One request, and the times at which its response arrived.
//!
//! This is not the client of `tidings subscribe`. That client follows, decodes and retries. Here nothing may come
//! between the socket and the clock.

mod connect;
mod fan;
mod line;
mod quic;
mod tape;
mod unpack;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Method, Uri};
use http_body_util::BodyExt;
use tidings_codec::Decoder;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_rustls::rustls::ClientConfig;

use self::{
    connect::{Connected, NoTls, connect},
    line::{AnswerBody, Line},
    tape::Tape,
};
pub(super) use self::{fan::fan, unpack::Unpack};
use super::observation::{End, Head, Protocol, Read, Seen};

/// The maximum number of bytes of a body that are read. A stream is judged by its beginning.
const MAX_BODY_BYTES: usize = 4 << 20;

/// How long to look for bytes after the response to a HEAD.
const AFTER_HEAD: Duration = Duration::from_millis(300);

/// How to reach a server.
#[derive(Clone, Debug)]
pub(super) struct Way {
    /// `HOST:PORT` to connect to, instead of the host and port of the URL.
    pub(super) connect_to: Option<String>,
    /// The version of HTTP to use. `None` lets TLS negotiate it.
    pub(super) protocol: Option<Protocol>,
    pub(super) tls: Option<Arc<ClientConfig>>,
}

/// The request, and how long to observe it.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    pub(super) method: Method,
    pub(super) url: Uri,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// The time limit for the whole exchange. Later bytes are not observed.
    pub(super) within: Duration,
}

impl Way {
    /// The way that the flags define, for a URL with this scheme.
    pub(super) fn new(
        url: &Uri,
        connect_to: Option<String>,
        protocol: Option<Protocol>,
    ) -> anyhow::Result<Way> {
        let tls = (url.scheme_str() == Some("https")).then(connect::trust).transpose()?;
        Ok(Way { connect_to, protocol, tls })
    }

    /// The way to the address at which a server offers HTTP/3. A `connect_to` address is kept.
    pub(super) fn by_http3(&self, url: &Uri, (host, port): (&str, u16)) -> Way {
        let hop = self.connect_to.as_deref().and_then(|there| Some(there.rsplit_once(':')?.0));
        let host = hop.or((!host.is_empty()).then_some(host)).or(url.host()).unwrap_or_default();
        Way { connect_to: Some(format!("{host}:{port}")), ..self.by(Protocol::Http3) }
    }

    /// The same way with another version of HTTP.
    pub(super) fn by(&self, protocol: Protocol) -> Way {
        Way { protocol: Some(protocol), ..self.clone() }
    }
}

/// Sends a request and observes it until the response has ended or the time is up. Dropping it closes the connection.
pub(super) async fn exchange(ask: &Ask, way: &Way) -> Seen {
    let began = Instant::now();
    let until = began + ask.within;
    let mut seen = Seen::default();
    let connected = match timeout_at(until, connect(&ask.url, way)).await {
        Ok(Ok(connected)) => connected,
        Ok(Err(error)) => {
            let reason = format!("{error:#}");
            let is_there = error.downcast_ref::<NoTls>().is_some();
            seen.end = if is_there { End::Broken(reason) } else { End::Unreachable(reason) };
            seen.ended = began.elapsed();
            return seen;
        }
        Err(_) => {
            seen.end = End::Unreachable("no answer in time".into());
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
    let mut line = Line::open(connected).await?;
    let response = line.send(ask)?.await?;
    seen.head = Some(Head {
        at: began.elapsed(),
        status: response.status().as_u16(),
        headers: response.headers().clone(),
    });
    let unpack = Unpack::of(seen.header("content-encoding"));
    let end = read(response.into_body(), unpack, began, seen).await?;
    if ask.method == Method::HEAD {
        // Bytes that a server sends after the head, where nothing may be, are not part of the response. They are on the
        // tape.
        sleep(AFTER_HEAD).await;
    }
    Ok(end)
}

async fn read(
    mut body: AnswerBody,
    mut unpack: Unpack,
    began: Instant,
    seen: &mut Seen,
) -> Result<End, Error> {
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

fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut texts = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(error) = cause {
        texts.push(error.to_string());
        cause = error.source();
    }
    texts.join(": ")
}
