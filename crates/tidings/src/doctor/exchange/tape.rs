//! The first bytes that a connection received, unchanged: an HTTP library corrects or refuses some of them.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How many bytes are kept: the settings and the head of a response, with some room.
const MAX_TAPE_BYTES: usize = 16 << 10;

/// Keeps the first bytes of one connection.
#[derive(Clone, Default)]
pub(super) struct Tape(Arc<Mutex<Vec<u8>>>);

impl Tape {
    /// Records the bytes that are read from `io`.
    pub(super) fn record<S>(&self, io: S) -> Recorded<S> {
        Recorded { io, tape: self.clone() }
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn add(&self, bytes: &[u8]) {
        let mut tape = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let room = MAX_TAPE_BYTES - tape.len();
        tape.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
}

/// A connection whose first bytes are recorded.
pub(super) struct Recorded<S> {
    io: S,
    tape: Tape,
}

impl<S: AsyncRead + Unpin> AsyncRead for Recorded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(context, buffer))?;
        self.tape.add(&buffer.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Recorded<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}
