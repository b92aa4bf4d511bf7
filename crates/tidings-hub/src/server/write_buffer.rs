//! Sends the answers to pipelined requests together.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How many bytes are gathered before they are written: some hundred answers to publishers.
const MAX_BEHIND: usize = 16 << 10;

/// A socket whose small writes wait until [`poll_written`](WriteBuffer::poll_written): hyper writes each answer by itself, and
/// a write costs more than the publish that it answers.
///
/// The task that polls the connection calls `poll_written` after each poll, so that nothing waits while the connection is idle.
pub(super) struct WriteBuffer<S>(Arc<Mutex<State<S>>>);

struct State<S> {
    socket: S,
    /// Bytes to write, from `written` on.
    behind: Vec<u8>,
    written: usize,
    /// Whether hyper has flushed what it wrote.
    flushed: bool,
    /// How many writes were gathered, see [`take_writes`](WriteBuffer::take_writes).
    writes: usize,
    /// Whether hyper may hold the rest of an answer whose beginning is with the socket.
    midway: Arc<AtomicBool>,
}

impl<S> Clone for WriteBuffer<S> {
    fn clone(&self) -> WriteBuffer<S> {
        WriteBuffer(self.0.clone())
    }
}

impl<S> WriteBuffer<S> {
    pub(super) fn new(socket: S) -> WriteBuffer<S> {
        WriteBuffer(Arc::new(Mutex::new(State {
            socket,
            behind: Vec::new(),
            written: 0,
            flushed: false,
            writes: 0,
            midway: Arc::default(),
        })))
    }

    /// Whether the rest of an answer may still follow its beginning. Then nothing else may be written to the socket.
    pub(super) fn midway(&self) -> Arc<AtomicBool> {
        self.state().midway.clone()
    }

    /// The socket, when everything is written and no other owner is left.
    pub(super) fn into_inner(self) -> Option<S> {
        let state = Arc::into_inner(self.0)?.into_inner().unwrap_or_else(PoisonError::into_inner);
        Some(state.socket)
    }

    /// How many small writes there were since the last call. Most of them are answers.
    pub(super) fn take_writes(&self) -> usize {
        std::mem::take(&mut self.state().writes)
    }

    fn state(&self) -> MutexGuard<'_, State<S>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: AsyncWrite + Unpin> WriteBuffer<S> {
    /// Ready when the socket has taken all written bytes.
    pub(super) fn poll_written(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let state = &mut *self.state();
        ready!(state.poll_written(context))?;
        if std::mem::take(&mut state.flushed) {
            ready!(Pin::new(&mut state.socket).poll_flush(context))?;
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> State<S> {
    fn poll_written(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.behind.len() {
            let rest = &self.behind[self.written..];
            match ready!(Pin::new(&mut self.socket).poll_write(context, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.written += count,
            }
        }
        // An idle connection keeps no buffer.
        (self.behind, self.written) = (Vec::new(), 0);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for WriteBuffer<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.state().socket).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WriteBuffer<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let state = &mut *self.state();
        let count = buffers.iter().map(|buffer| buffer.len()).sum::<usize>();
        if state.behind.len() + count > MAX_BEHIND {
            state.midway.store(true, Ordering::Relaxed);
            ready!(state.poll_written(context))?;
            return Pin::new(&mut state.socket).poll_write_vectored(context, buffers);
        }
        state.writes += 1;
        state.behind.reserve(count);
        for buffer in buffers {
            state.behind.extend_from_slice(buffer);
        }
        Poll::Ready(Ok(count))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let state = &mut *self.state();
        state.flushed = true;
        state.midway.store(false, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let state = &mut *self.state();
        ready!(state.poll_written(context))?;
        Pin::new(&mut state.socket).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, pin::pin, task::Waker};

    use super::*;

    /// Takes at most `room` bytes of each write, and nothing when that is 0.
    #[derive(Default)]
    struct Recorder {
        room: usize,
        writes: Vec<Vec<u8>>,
        flushes: usize,
    }

    impl AsyncWrite for Recorder {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            let count = bytes.len().min(self.room);
            if count == 0 {
                return Poll::Pending;
            }
            self.writes.push(bytes[..count].to_vec());
            Poll::Ready(Ok(count))
        }

        fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.flushes += 1;
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    fn over(room: usize) -> WriteBuffer<Recorder> {
        WriteBuffer::new(Recorder { room, ..Recorder::default() })
    }

    fn write(to: &WriteBuffer<Recorder>, bytes: &[u8]) -> Poll<usize> {
        let mut context = Context::from_waker(Waker::noop());
        pin!(to.clone()).poll_write(&mut context, bytes).map(|written| written.unwrap())
    }

    fn is_written(to: &WriteBuffer<Recorder>) -> bool {
        to.poll_written(&mut Context::from_waker(Waker::noop())).map(|written| written.unwrap()).is_ready()
    }

    #[test]
    fn small_writes_leave_as_one() {
        let socket = over(usize::MAX);
        for answer in [b"one", b"two"] {
            assert_eq!(write(&socket, answer), Poll::Ready(3));
        }
        assert!(socket.state().socket.writes.is_empty());
        assert_eq!((socket.take_writes(), socket.take_writes()), (2, 0));
        assert!(is_written(&socket));
        assert_eq!(socket.into_inner().unwrap().writes, [b"onetwo"]);
    }

    #[test]
    fn a_large_answer_is_midway_until_hyper_has_written_all_of_it() {
        let (socket, large) = (over(1_000), vec![b'x'; MAX_BEHIND + 1]);
        let midway = || socket.midway().load(Ordering::Relaxed);
        assert_eq!(write(&socket, b"one"), Poll::Ready(3));
        assert!(!midway(), "it is gathered whole");
        assert_eq!(write(&socket, &large), Poll::Ready(1_000));
        assert!(midway());
        let mut context = Context::from_waker(Waker::noop());
        assert!(pin!(socket.clone()).poll_flush(&mut context).is_ready() && !midway());
    }

    #[test]
    fn a_large_write_follows_what_is_behind() {
        let (socket, large) = (over(usize::MAX), vec![b'x'; MAX_BEHIND]);
        assert_eq!(write(&socket, b"one"), Poll::Ready(3));
        assert_eq!(write(&socket, &large), Poll::Ready(MAX_BEHIND));
        assert_eq!(socket.into_inner().unwrap().writes, [b"one".to_vec(), large]);
    }

    #[tokio::test]
    async fn a_flush_is_told_when_all_of_it_is_written() {
        let socket = over(2);
        assert_eq!(write(&socket, b"abc"), Poll::Ready(3));
        poll_fn(|context| pin!(socket.clone()).poll_flush(context)).await.unwrap();
        socket.state().socket.room = 0;
        assert!(!is_written(&socket));
        assert_eq!(write(&socket, &[b'x'; MAX_BEHIND]), Poll::Pending, "it would overtake");
        assert_eq!(socket.state().socket.flushes, 0);
        socket.state().socket.room = 2;
        assert!(is_written(&socket));
        let recorder = socket.into_inner().unwrap();
        assert_eq!((recorder.writes.concat(), recorder.flushes), (b"abc".to_vec(), 1));
    }
}
