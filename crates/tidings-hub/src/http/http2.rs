//! A connection that speaks HTTP/2: its streams stay with hyper, as bodies.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    time::Duration,
};

use http::{Method, Request};
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tower_service::Service;

use super::{
    http1::is_plain_publish,
    progress::Watched,
    streams::{Door, Streams},
};
use crate::{Hub, peer::Peer};

/// How many requests of one connection are served at a time; clients keep further ones back.
///
/// The bound for what one client can make the hub hold: a stream whose client takes nothing holds one chunk of events, and
/// what fits into `MAX_SEND_BYTES`.
const MAX_STREAMS: u32 = 256;

/// How much of a stream waits in the connection until its client takes it. What follows stays in the log.
const MAX_SEND_BYTES: usize = 64 << 10;

/// How much of the bodies of requests may arrive unread: of one, so that it can't hold up the others, and of all.
const STREAM_WINDOW_BYTES: u32 = 256 << 10;
const CONNECTION_WINDOW_BYTES: u32 = 1 << 20;

/// How large the head of a request may be: a quarter of what 256 topics of the greatest length take.
const MAX_HEAD_BYTES: u32 = 64 << 10;

/// How many requests that were reset before they were looked at may wait; a client that sends more of them than that is
/// attacking ("rapid reset"), and its connection ends.
const MAX_PENDING_RESETS: usize = 20;

/// How many faulty streams are reset before the connection is.
const MAX_ERROR_RESETS: usize = 100;

/// How often a client is asked whether it is still there. It may take the write timeout to answer.
const PING_INTERVAL: Duration = Duration::from_secs(30);

/// Serves the requests of one connection until it ends.
pub(super) async fn serve<S>(hub: Hub, socket: S, peer: Peer)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let mut shutdown = pin!(hub.shared().shutdown_begun());
    let (door, mut streams) = Streams::new(hub.clone());
    let progress = streams.progress();
    let service = hub.service();
    let publishing = door.clone();
    let service = service_fn(move |mut request: Request<Incoming>| {
        if !is_plain_publish(&request) {
            request.extensions_mut().insert(peer);
        }
        let publishes = request.method() == Method::POST && request.uri().path().starts_with("/topics/");
        let answer = service.clone().call(request);
        // hyper drops the future of a stream that is reset, and so what its client has asked for. What has arrived of a publish
        // counts all the same.
        let answer = if publishes { publishing.detach(answer) } else { answer };
        let progress = progress.clone();
        async { answer.await.map(|response| response.map(|body| Watched::new(body, progress))) }
    });
    let connection = http2::Builder::<Door>::new(door)
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_send_buf_size(MAX_SEND_BYTES)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_header_list_size(MAX_HEAD_BYTES)
        .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
        .max_local_error_reset_streams(MAX_ERROR_RESETS)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(hub.shared().settings.write_timeout)
        .serve_connection(TokioIo::new(socket), service);
    let mut connection = Box::pin(connection);
    let mut stopping = false;
    let ended = poll_fn(|context| {
        if !stopping && shutdown.as_mut().poll(context).is_ready() {
            stopping = true;
            connection.as_mut().graceful_shutdown();
            streams.wake_connection();
        }
        streams.poll_with(connection.as_mut(), context)
    });
    if let Err(error) = ended.await {
        tracing::debug!(%error, "a connection ended early");
    }
    // Its streams end with it; a publish whose client is gone ends with what has arrived.
    drop(connection);
    poll_fn(|context| streams.poll_rest(context)).await;
}
