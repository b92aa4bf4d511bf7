//! The socket of a connection, with a limit on how long its peer may accept nothing.

use std::{
    future::Future,
    io,
    net::Shutdown,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, Bytes};
use http::Response;
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep, sleep},
};

use crate::{
    Hub,
    http::{hand_over::HandOver, problem::BeforeTheEnd},
    pace::Pace,
};

/// How long the hub reads and discards the bytes of a client that is to close, before it closes the connection.
const LINGER: Duration = Duration::from_secs(2);

/// How many bytes the client may send meanwhile. More than the longest line of an update, so that the client reads its refusal.
const LINGER_BYTES: usize = 8 << 20;

/// Whether a request was refused at the shutdown before all of it had come. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Unread(Arc<AtomicBool>);

impl Unread {
    /// Notes whether `response` is such a refusal.
    pub(super) fn note<B>(&self, response: &Response<B>) {
        if response.extensions().get::<BeforeTheEnd>().is_some() {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

/// A socket that fails when its peer takes too little within the write timeout, see [`Pace`].
///
/// A reader that stalls costs a socket and its buffers; its position in the log costs nothing, so it can come back.
pub(super) struct Socket {
    /// Shared with the stream on this connection, which watches whether the client has disconnected.
    socket: Arc<TcpStream>,
    /// Bytes that have been read from it already.
    read: Bytes,
    hub: Hub,
    /// Is told when all written bytes are with the kernel.
    hand_over: HandOver,
    /// How fast the peer takes the bytes, and when that is too slow. Set from the first write that had to wait until all is
    /// written.
    behind: Option<(Pace<Instant>, Pin<Box<Sleep>>)>,
    /// The refusals of requests on this connection.
    unread: Unread,
    /// Set by the shutdown of the socket: until when bytes are still read, and how many.
    lingering: Option<(Pin<Box<Sleep>>, usize)>,
}

impl Socket {
    /// A socket from which `read` has been read already.
    pub(super) fn new(
        hub: Hub,
        socket: Arc<TcpStream>,
        read: Bytes,
        hand_over: HandOver,
        unread: Unread,
    ) -> Socket {
        Socket { socket, read, hub, hand_over, behind: None, unread, lingering: None }
    }

    /// The socket, and the bytes that have been read from it and that hyper has not taken.
    pub(super) fn into_parts(self) -> (Arc<TcpStream>, Bytes) {
        (self.socket, self.read)
    }

    /// Runs `attempt` when the socket has room, or fails at the write timeout.
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
                    let Some((pace, until)) = &mut self.behind else { return Poll::Ready(written) };
                    let now = Instant::now();
                    if pace.took(*written.as_ref().unwrap_or(&0), now) {
                        until.as_mut().reset(now + self.hub.engine().settings.write_timeout);
                    } else if until.as_mut().poll(context).is_ready() {
                        return Poll::Ready(Err(self.give_up()));
                    }
                    return Poll::Ready(written);
                }
            }
        }
        let limit = self.hub.engine().settings.write_timeout;
        let (_, until) =
            self.behind.get_or_insert_with(|| (Pace::new(Instant::now()), Box::pin(sleep(limit))));
        ready!(until.as_mut().poll(context));
        Poll::Ready(Err(self.give_up()))
    }

    fn give_up(&self) -> io::Error {
        let engine = self.hub.engine();
        engine.metrics.stalled.inc();
        let limit = engine.settings.write_timeout;
        tracing::info!(after = ?limit, "a connection is closed: its client takes too little");
        io::ErrorKind::TimedOut.into()
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
            match self.socket.try_read_buf(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return Poll::Ready(read.map(drop)),
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

    fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // All bytes are taken.
        self.behind = None;
        // A TCP socket has no buffer outside the kernel. hyper flushes when its own buffer is empty.
        self.hand_over.flushed();
        Poll::Ready(Ok(()))
    }

    /// Ends the sending side, then reads for a while. A socket that is closed with unread bytes is reset, and the answer to a
    /// request that was refused in the middle of its body would be lost (RFC 9112, "Tear-down").
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Socket { socket, hub, unread, lingering, .. } = &mut *self;
        // At the shutdown of the hub, only clients that were refused then are waited for.
        let is_done = || hub.engine().is_shutting_down() && !unread.0.load(Ordering::Relaxed);
        let (until, left) = match lingering {
            Some(lingering) => lingering,
            None => {
                SockRef::from(&**socket).shutdown(Shutdown::Write)?;
                lingering.insert((Box::pin(sleep(LINGER)), LINGER_BYTES))
            }
        };
        let mut piece = [0; 4 << 10];
        while *left > 0 {
            match socket.try_read(&mut piece) {
                Ok(0) => break,
                Ok(count) => *left = left.saturating_sub(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if is_done() || until.as_mut().poll(context).is_ready() {
                        break;
                    }
                    ready!(socket.poll_read_ready(context))?;
                }
                // The other side has reset it, so no client is there.
                Err(_) => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}
