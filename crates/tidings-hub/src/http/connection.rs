//! One connection: hyper, until a subscription takes its socket over.

use std::{
    future::{Future, poll_fn},
    io,
    net::Shutdown,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, Bytes};
use http::Request;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Sleep, sleep},
};
use tower_service::Service;

use super::{
    body::HangUp,
    take_over::{TakeOver, Taken},
};
use crate::Hub;

/// How long a client may take to send the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// How much of a request's head, and of what a slow reader has not taken yet, is kept for one connection.
const MAX_BUFFER_BYTES: usize = 128 << 10;

/// A subscription with its socket, which is non-blocking and nobody else's.
#[derive(Debug)]
pub(super) struct Leaving {
    pub(super) socket: TcpStream,
    pub(super) taken: Taken,
    /// What the client has sent behind its request.
    pub(super) pipelined: Bytes,
}

/// Serves the requests of one connection until it ends, or until `Some` subscription leaves it with its socket.
///
/// `read` is what has been read of the connection already.
pub(super) async fn serve_connection(hub: Hub, socket: TcpStream, read: Bytes) -> Option<Leaving> {
    // An event is small and must go out now, not when there is more to fill a segment.
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!(%error, "a connection was gone before it began");
        return None;
    }
    let mut shutdown = pin!(hub.shared().shutdown_begun());
    let socket = Arc::new(socket);
    let (hang_up, take_over) = (HangUp::of(socket.clone()), TakeOver::default());
    let io = Socket { socket, read, hub: hub.clone(), take_over: take_over.clone(), stalled: None };
    let service = hub.service();
    let offer = take_over.clone();
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(hang_up.clone());
        if cfg!(unix) {
            request.extensions_mut().insert(offer.clone());
        }
        service.clone().call(request)
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_BUFFER_BYTES)
        // A publisher may close as soon as it has sent everything, and what it sent counts; see `HangUp` for the rest.
        .half_close(true)
        .serve_connection(TokioIo::new(io), service);
    let mut stopping = false;
    let taken = poll_fn(|context| {
        if !stopping && shutdown.as_mut().poll(context).is_ready() {
            stopping = true;
            Pin::new(&mut connection).graceful_shutdown();
        }
        match Pin::new(&mut connection).poll(context) {
            Poll::Ready(ended) => Poll::Ready(ended.map(|()| None)),
            Poll::Pending => take_over.take().map_or(Poll::Pending, |taken| Poll::Ready(Ok(Some(taken)))),
        }
    });
    let taken = match taken.await {
        Ok(taken) => taken?,
        Err(error) => {
            tracing::debug!(%error, "a connection ended early");
            return None;
        }
    };
    let parts = connection.into_parts();
    let (mut pipelined, Socket { socket, read, .. }) = (parts.read_buf, parts.io.into_inner());
    if !read.is_empty() {
        pipelined = [pipelined, read].concat().into();
    }
    drop(parts.service);
    let socket =
        Arc::into_inner(socket).expect("the service and the body, which watched it, have been dropped");
    Some(Leaving { socket, taken, pipelined })
}

/// A socket that fails when its peer has accepted nothing for the write timeout.
///
/// A reader that stalls costs a socket and its buffers; its place in the log costs nothing, so it can come back.
struct Socket {
    /// Shared with the stream on this connection, which watches for its client's hang-up.
    socket: Arc<TcpStream>,
    /// What has been read of it already.
    read: Bytes,
    hub: Hub,
    take_over: TakeOver,
    /// Runs from the first write that had to wait until a write succeeds.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Socket {
    /// Does what `attempt` does once the socket has room, or fails at the write timeout.
    fn poll_write_with(
        &mut self,
        context: &mut Context<'_>,
        attempt: impl Fn(&TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        while let Poll::Ready(ready) = self.socket.poll_write_ready(context) {
            ready?;
            match attempt(&self.socket) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => {
                    self.stalled = None;
                    return Poll::Ready(written);
                }
            }
        }
        let shared = self.hub.shared();
        let limit = shared.settings.write_timeout;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(limit)));
        ready!(stalled.as_mut().poll(context));
        shared.metrics.stalled.inc();
        tracing::info!(after = ?limit, "a connection is closed: its client accepts nothing");
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.read.is_empty() {
            let count = self.read.len().min(buffer.remaining());
            buffer.put_slice(&self.read[..count]);
            self.read.advance(count);
            return Poll::Ready(Ok(()));
        }
        loop {
            ready!(self.socket.poll_read_ready(context))?;
            match self.socket.try_read(buffer.initialize_unfilled()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return Poll::Ready(read.map(|count| buffer.advance(count))),
            }
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_with(context, |socket| socket.try_write(bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_with(context, |socket| socket.try_write_vectored(buffers))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A TCP socket has no buffer of its own on this side of the kernel. hyper flushes when its own is empty.
        self.take_over.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(SockRef::from(&*self.socket).shutdown(Shutdown::Write))
    }
}
