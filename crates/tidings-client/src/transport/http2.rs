//! HTTP/2: one request on a connection of its own, moved without a task.
//!
//! hyper splits the work on an HTTP/2 connection into futures. One accepts requests, one reads and writes frames, one
//! waits for the response, and one sends the request's body if it is not complete at once. hyper gives all but the
//! first to an executor, which is expected to spawn them. Here a queue holds them instead. Each poll of the response or
//! its body polls all of them, so they end when the response is dropped.

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

/// How many bytes a server may send before they are read. This bounds the memory that a slow reader occupies, and with
/// a round trip of 100 ms it allows 10 MB a second. A connection has one stream, so both have the same window.
const WINDOW_BYTES: u32 = 1024 * 1024;

/// The maximum size of the head of a response, as in browsers. hyper's default is 16 KiB.
const MAX_HEAD_BYTES: u32 = 256 * 1024;

/// Sends a request with an absolute URL, and returns the response.
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

/// Makes a `Host` header the authority of the URL, which replaces the header in HTTP/2. Source: RFC 9113, "Request
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

/// The executor for hyper. It passes the futures to [`SideBySide`].
///
/// The futures hold clones of the executor. It is the sending end of a channel and not a shared list, because with a
/// list they would keep each other alive.
#[derive(Clone)]
struct Queue(Sender<Part>);

impl<F> Executor<F> for Queue
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, future: F) {
        // If the receiver is gone, so is the connection.
        let _ = self.0.send(Box::pin(future));
    }
}

/// All futures of one connection, as one future. There are at most four, so each is polled whenever one of them is
/// woken.
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
