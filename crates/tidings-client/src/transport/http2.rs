//! HTTP/2: one request on a connection of its own, moved without a task.
//!
//! hyper divides the work on an HTTP/2 connection into futures: one hands requests out, one reads and writes frames, one
//! waits for the response, and one sends the request's body if it is not there at once. It gives all but the first to an
//! executor, which is expected to spawn them. Here they are put into a queue instead, and polled side by side with the
//! first one by whoever waits for the response or reads it. So they end when that is dropped.

use std::{
    future::Future,
    pin::Pin,
    sync::mpsc::{Receiver, Sender, channel},
    task::{Context, Poll},
};

use http::{Request, Response, Uri, Version, header::HOST, uri::Authority};
use hyper::{client::conn::http2, rt::Executor};
use hyper_util::rt::TokioIo;

use crate::{
    body::{RequestBody, ResponseBody},
    error::TransportError,
    transport::{connect::Io, driven::Driver},
};

/// What a server may send ahead of what is read: it bounds what a slow reader holds, and at a round trip of 100 ms lets
/// 10 MB come in a second. There is one stream on a connection, so both have the same window.
const WINDOW_BYTES: u32 = 1024 * 1024;

/// How large the head of a response may be, as in browsers. hyper's own limit is 16 KiB.
const MAX_HEAD_BYTES: u32 = 256 * 1024;

/// Sends a request, whose URL is absolute, and returns what answers it.
pub(super) async fn exchange(
    io: Io,
    request: Request<RequestBody>,
) -> Result<Response<ResponseBody>, TransportError> {
    let (queue, futures) = channel();
    let (mut sender, connection) = http2::Builder::new(Queue(queue))
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .max_header_list_size(MAX_HEAD_BYTES)
        .handshake(TokioIo::new(io))
        .await
        .map_err(TransportError::broken)?;
    let connection = async {
        let _ = connection.await;
    };
    let connection = SideBySide { futures: vec![Box::pin(connection)], queue: futures };
    Driver::new(connection).response(sender.send_request(with_authority(request)?)).await
}

/// Turns a `Host` header into the authority of the URL, which is its place in HTTP/2. Source: RFC 9113, "Request
/// Pseudo-Header Fields".
fn with_authority(mut request: Request<RequestBody>) -> Result<Request<RequestBody>, TransportError> {
    *request.version_mut() = Version::HTTP_2;
    if let Some(host) = request.headers_mut().remove(HOST) {
        let mut parts = std::mem::take(request.uri_mut()).into_parts();
        parts.authority = Some(Authority::try_from(host.as_bytes()).map_err(TransportError::broken)?);
        *request.uri_mut() = Uri::from_parts(parts).map_err(TransportError::broken)?;
    }
    Ok(request)
}

type Part = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The executor that hyper gets: it keeps what it is given for [`SideBySide`].
///
/// The futures hold clones of it. It is the sending end of a channel, not a list that they would share, so that they do
/// not keep each other alive.
#[derive(Clone)]
struct Queue(Sender<Part>);

impl<F> Executor<F> for Queue
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, future: F) {
        // Without the other end there is no connection left to work for.
        let _ = self.0.send(Box::pin(future));
    }
}

/// All futures of one connection, as one. They are at most four, so each is polled whenever one of them may move.
struct SideBySide {
    futures: Vec<Part>,
    queue: Receiver<Part>,
}

impl Future for SideBySide {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        loop {
            this.futures.retain_mut(|future| future.as_mut().poll(cx).is_pending());
            let before = this.futures.len();
            this.futures.extend(this.queue.try_iter());
            if this.futures.len() == before {
                return if before == 0 { Poll::Ready(()) } else { Poll::Pending };
            }
        }
    }
}
