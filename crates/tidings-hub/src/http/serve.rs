//! Connections: hyper at the door.

use std::{
    future::Future,
    io,
    net::Shutdown,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use http::Request;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    time::{Sleep, sleep, timeout},
};
use tower_service::Service;

use super::body::HangUp;
use crate::Hub;

/// How long a client may take to send the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// How much of a request's head, and of what a slow reader has not taken yet, is kept for one connection.
const MAX_BUFFER_BYTES: usize = 128 << 10;

/// How long connections have to finish once the hub shuts down.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(10);

/// How long to wait before accepting again when the process has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Accepts connections until the hub shuts down, then waits for those that are open.
pub(crate) async fn serve(hub: Hub, listener: TcpListener) {
    let graceful = GracefulShutdown::new();
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_BUFFER_BYTES)
        // A publisher may close as soon as it has sent everything, and what it sent counts; see `HangUp` for the rest.
        .half_close(true);
    let shutdown = hub.shared().shutdown_begun();
    tokio::pin!(shutdown);
    loop {
        let socket = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut shutdown => break,
        };
        match socket {
            Ok((socket, _)) => {
                // An event is small and must go out now, not when there is more to fill a segment.
                if let Err(error) = socket.set_nodelay(true) {
                    tracing::debug!(%error, "a connection was gone before it began");
                    continue;
                }
                let socket = Arc::new(socket);
                let hang_up = HangUp::of(socket.clone());
                let io = TokioIo::new(Socket { socket, hub: hub.clone(), stalled: None });
                let service = hub.service();
                let service = service_fn(move |mut request: Request<Incoming>| {
                    request.extensions_mut().insert(hang_up.clone());
                    service.clone().call(request)
                });
                let connection = http.serve_connection(io, service);
                let connection = graceful.watch(connection);
                tokio::spawn(async move {
                    if let Err(error) = connection.await {
                        tracing::debug!(%error, "a connection ended early");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection can't be accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    if timeout(SHUTDOWN_GRACE, graceful.shutdown()).await.is_err() {
        tracing::warn!(after = ?SHUTDOWN_GRACE, "connections were still open at the end of the shutdown");
    }
}

/// A socket that fails when its peer has accepted nothing for the write timeout.
///
/// A reader that stalls costs a socket and its buffers; its place in the log costs nothing, so it can come back.
struct Socket {
    /// Shared with the stream on this connection, which watches for its client's hang-up.
    socket: Arc<TcpStream>,
    hub: Hub,
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
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
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
        // A TCP socket has no buffer of its own on this side of the kernel.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(SockRef::from(&*self.socket).shutdown(Shutdown::Write))
    }
}
