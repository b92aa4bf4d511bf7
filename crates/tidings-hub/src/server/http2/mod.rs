//! A connection that speaks HTTP/2: its streams stay with hyper, as bodies.

pub(crate) mod patient_timer;
pub(crate) mod progress;
pub(crate) mod streams;
use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    io,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
    time::Duration,
};

use http::{Method, Request};
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tower_service::Service;

use super::{
    http1::needs_peer,
    http2::{
        patient_timer::PatientTimer,
        progress::Watched,
        streams::{StreamExecutor, Streams},
    },
    last_chance::LastChance,
    socket::Unread,
};
use crate::{Hub, log::turns::Publisher, peer::Peer};

/// How many requests of one connection are served at a time. Clients hold back further requests.
///
/// It bounds the memory of one client: a stream whose client takes nothing holds one chunk of events, and up to `MAX_SEND_BYTES`.
const MAX_STREAMS: u32 = 256;

/// How many bytes of a stream wait in the connection until its client takes them. Later events stay in the log.
const MAX_SEND_BYTES: usize = 64 << 10;

/// How many bytes of the bodies of requests may arrive unread: of one body, so that it cannot hold up the others, and of all.
const STREAM_WINDOW_BYTES: u32 = 256 << 10;
const CONNECTION_WINDOW_BYTES: u32 = 1 << 20;

/// How large the head of a request may be: a quarter of the length of 256 topics of the greatest length.
const MAX_HEAD_BYTES: u32 = 64 << 10;

/// How many requests may wait that were reset before the hub had looked at them. A client that sends more is attacking ("rapid
/// reset"), and its connection ends.
const MAX_PENDING_RESETS: usize = 20;

/// How many faulty streams are reset before the connection is.
const MAX_ERROR_RESETS: usize = 100;

/// How often a client is asked whether it is still there. It may take the write timeout to answer, and time in which the hub
/// reads nothing does not count ([`PatientTimer`]).
const PING_INTERVAL: Duration = Duration::from_secs(30);

/// Serves the requests of one connection until it ends.
pub(super) async fn serve<S>(hub: Hub, socket: S, peer: Peer, unread: Unread)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let mut shutdown = pin!(hub.engine().shutdown_begun());
    let (executor, mut streams) = Streams::new(hub.clone());
    let progress = streams.progress();
    let (service, answering) = (hub.service(), hub.clone());
    let publishing = executor.clone();
    let publisher = Publisher::default();
    let gated = Gated { socket, publisher: publisher.clone() };
    let timer = PatientTimer(publisher.clone());
    let service = service_fn(move |mut request: Request<Incoming>| {
        if needs_peer(&answering, &request) {
            request.extensions_mut().insert(peer);
        }
        let publishes = request.method() == Method::POST && request.uri().path().starts_with("/topics/");
        if publishes {
            request.extensions_mut().insert(publisher.clone());
        }
        let answer = service.clone().call(request);
        // hyper drops the future of a stream that is reset, and so the request. The updates of a publish that have arrived count
        // all the same.
        let answer = if publishes { publishing.detach(answer) } else { answer };
        let (progress, unread) = (progress.clone(), unread.clone());
        async move {
            let response = answer.await?;
            unread.note(&response);
            Ok::<_, Infallible>(response.map(|body| Watched::new(body, progress)))
        }
    });
    let connection = http2::Builder::<StreamExecutor>::new(executor)
        .timer(timer)
        .max_concurrent_streams(MAX_STREAMS)
        .max_send_buf_size(MAX_SEND_BYTES)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_header_list_size(MAX_HEAD_BYTES)
        .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
        .max_local_error_reset_streams(MAX_ERROR_RESETS)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(hub.engine().settings.write_timeout)
        .serve_connection(TokioIo::new(gated), service);
    let mut connection = Box::pin(connection);
    let mut last_chance = LastChance::default();
    let ended = poll_fn(|context| {
        if !last_chance.has_begun() && shutdown.as_mut().poll(context).is_ready() {
            last_chance.begin();
            connection.as_mut().graceful_shutdown();
            streams.wake_connection();
        }
        match streams.poll_with(connection.as_mut(), context) {
            Poll::Ready(ended) => Poll::Ready(ended),
            // hyper waits for the answer to a PING, so that no request that comes until then is lost.
            Poll::Pending => last_chance.poll_over(context, || streams.are_idle()).map(Ok),
        }
    });
    if let Err(error) = ended.await {
        tracing::debug!(%error, "a connection ended early");
    }
    // Its streams end with it. A publish whose client is gone ends with the updates that have arrived.
    drop(connection);
    poll_fn(|context| streams.poll_rest(context)).await;
}

/// The socket of a connection. Nothing is read from it while too many of its updates wait for the log.
///
/// Streams that were reset still wait for the log, and this is the only bound on their number.
struct Gated<S> {
    socket: S,
    publisher: Publisher,
}

impl<S: AsyncRead + Unpin> AsyncRead for Gated<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.publisher.poll_read(context));
        Pin::new(&mut self.socket).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Gated<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(context, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}
