//! Whether the client of an HTTP/2 stream takes what the stream gives, and how much waits for all of them.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};

use super::HubBody;
use crate::budget::{Budget, Share};

/// How much of an answer is given at once: so much has to be taken before the write timeout.
const PIECE_BYTES: usize = 64 << 10;

/// What is given with the end of an answer. hyper knows nothing more of the answer then, and nobody can tell whether its client
/// takes it.
const LAST_BYTES: usize = 1 << 10;

/// How much may wait in a connection when the memory for answers is spent: live events go on where clients take them.
const FREE_BYTES: usize = 64 << 10;

/// What the answers of one connection do, where one is polled at a time.
#[derive(Debug, Clone)]
pub(super) struct Progress(Arc<Connection>);

#[derive(Debug)]
struct Connection {
    room: Budget,
    /// What waits for the client, of all its streams.
    waiting: AtomicUsize,
    /// Whether what is dropped now is dropped since its client takes too little.
    stalls: AtomicBool,
    /// What the body that was polled last has given, if it gave something that is the first to wait.
    gave: std::sync::Mutex<Option<Arc<Untaken>>>,
}

/// What waits for the client of one stream.
#[derive(Debug, Default)]
pub(super) struct Untaken {
    bytes: AtomicUsize,
    /// What was taken since this was asked last.
    taken: AtomicUsize,
}

impl Untaken {
    /// Whether the client has all there is.
    pub(super) fn is_nothing(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) == 0
    }

    /// How many bytes were taken since this was asked last.
    pub(super) fn take_taken(&self) -> usize {
        self.taken.swap(0, Ordering::Relaxed)
    }
}

impl Progress {
    /// Of a connection whose answers are within `room` together with those of all others.
    pub(super) fn new(room: Budget) -> Progress {
        Progress(Arc::new(Connection {
            room,
            waiting: AtomicUsize::new(0),
            stalls: AtomicBool::new(false),
            gave: Default::default(),
        }))
    }

    /// What waits for the client of the stream that was polled last, if it is something and nothing waited before.
    pub(super) fn take_begun(&self) -> Option<Arc<Untaken>> {
        self.0.gave.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take()
    }

    /// Drops a stream whose client takes too little, and lets its body know.
    pub(super) fn drop_stalled<S>(&self, stream: S) {
        self.0.stalls.store(true, Ordering::Relaxed);
        drop(stream);
        self.0.stalls.store(false, Ordering::Relaxed);
    }

    fn may_give(&self) -> bool {
        self.0.room.has_room() || self.0.waiting.load(Ordering::Relaxed) < FREE_BYTES
    }
}

/// A body whose pieces are counted until the socket has them.
pub(super) struct Watched {
    body: HubBody,
    progress: Progress,
    waiting: Arc<Untaken>,
    /// What is still to be given of what the body gave, and its share of the memory.
    rest: Bytes,
    share: Share,
    /// While the memory for answers is spent.
    room: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl Watched {
    pub(super) fn new(body: HubBody, progress: Progress) -> Watched {
        let share = progress.0.room.share();
        Watched { body, progress, waiting: Arc::default(), rest: Bytes::new(), share, room: None }
    }

    fn poll_room(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while !self.progress.may_give() {
            let room = self.room.get_or_insert_with(|| {
                let budget = self.progress.0.room.clone();
                Box::pin(async move { budget.room().await })
            });
            std::task::ready!(room.as_mut().poll(context));
            self.room = None;
        }
        self.room = None;
        Poll::Ready(())
    }

    /// The next piece of the rest.
    fn piece(&mut self) -> Piece {
        let left = self.rest.len();
        let most = match self.body.is_end_stream() && left > LAST_BYTES {
            true => PIECE_BYTES.min(left - LAST_BYTES),
            false => PIECE_BYTES,
        };
        let bytes = self.rest.split_to(most.min(left));
        if self.rest.is_empty() {
            self.share.clear();
        }
        let mut share = self.progress.0.room.share();
        share.overdraw(bytes.len());
        let waited = self.waiting.bytes.fetch_add(bytes.len(), Ordering::Relaxed);
        self.progress.0.waiting.fetch_add(bytes.len(), Ordering::Relaxed);
        if waited == 0 {
            self.waiting.take_taken();
            let mut gave = self.progress.0.gave.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            *gave = Some(self.waiting.clone());
        }
        Piece { bytes, _share: share, of: self.waiting.clone(), connection: self.progress.0.clone() }
    }
}

impl Body for Watched {
    type Data = Piece;
    type Error = <HubBody as Body>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Piece>, Self::Error>>> {
        let watched = &mut *self;
        if watched.rest.is_empty() {
            std::task::ready!(watched.poll_room(context));
            match std::task::ready!(Pin::new(&mut watched.body).poll_frame(context)) {
                None => return Poll::Ready(None),
                Some(frame) => match frame?.into_data() {
                    Ok(data) => watched.rest = data,
                    // No answer of the hub has trailers.
                    Err(_) => return Poll::Ready(None),
                },
            }
            if watched.rest.len() > PIECE_BYTES {
                watched.share.overdraw(watched.rest.len());
            }
        }
        Poll::Ready(Some(Ok(Frame::data(watched.piece()))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if self.progress.0.stalls.load(Ordering::Relaxed) {
            self.body.stall();
        }
    }
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched")
            .field("body", &self.body)
            .field("waiting", &self.waiting)
            .finish_non_exhaustive()
    }
}

/// A piece of an answer: counted until its last byte is with the socket, or it is dropped.
pub(super) struct Piece {
    bytes: Bytes,
    _share: Share,
    of: Arc<Untaken>,
    connection: Arc<Connection>,
}

impl Piece {
    fn leave(&self, count: usize) {
        self.of.bytes.fetch_sub(count, Ordering::Relaxed);
        self.connection.waiting.fetch_sub(count, Ordering::Relaxed);
    }
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.bytes.len()
    }

    fn chunk(&self) -> &[u8] {
        &self.bytes
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
        self.of.taken.fetch_add(count, Ordering::Relaxed);
        self.leave(count);
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        self.leave(self.bytes.len());
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, task::Waker};

    use prometheus_client::metrics::counter::Counter;

    use super::*;

    fn poll(body: &mut Watched) -> Poll<Option<Piece>> {
        let frame = Pin::new(body).poll_frame(&mut Context::from_waker(Waker::noop()));
        frame.map(|frame| {
            frame.map(|frame| frame.unwrap().into_data().unwrap_or_else(|_| panic!("it is data")))
        })
    }

    fn watched(bytes: usize, progress: &Progress) -> Watched {
        Watched::new(HubBody::from(Bytes::from(vec![b'x'; bytes])), progress.clone())
    }

    #[test]
    fn an_answer_is_counted_byte_by_byte_and_ends_with_a_small_piece() {
        let budget = Budget::new(1 << 20, Counter::default());
        let progress = Progress::new(budget.clone());
        let mut body = watched(100_000, &progress);
        let Poll::Ready(Some(mut first)) = poll(&mut body) else { panic!("it has a piece") };
        let waiting = progress.take_begun().expect("something waits");
        first.advance(1_000);
        assert_eq!((first.remaining(), waiting.take_taken()), (PIECE_BYTES - 1_000, 1_000));
        let Poll::Ready(Some(second)) = poll(&mut body) else { panic!("it has a second one") };
        assert!(progress.take_begun().is_none(), "the first still waits");
        assert_eq!((second.remaining(), body.is_end_stream()), (100_000 - PIECE_BYTES - LAST_BYTES, false));
        let Poll::Ready(Some(last)) = poll(&mut body) else { panic!("it has a last one") };
        assert_eq!((last.remaining(), body.is_end_stream()), (LAST_BYTES, true));
        assert!(budget.used_bytes() >= 100_000);
        drop((first, second, last));
        assert!(waiting.is_nothing() && budget.used_bytes() == 0);
    }

    #[tokio::test]
    async fn when_the_memory_is_spent_a_connection_where_little_waits_goes_on_and_others_wait() {
        let budget = Budget::new(1 << 10, Counter::default());
        let (slow, quick) = (Progress::new(budget.clone()), Progress::new(budget.clone()));
        let mut pieces = Vec::new();
        while let Poll::Ready(Some(piece)) = poll(&mut watched(30_000, &slow)) {
            pieces.push(piece);
        }
        assert_eq!(pieces.iter().map(Piece::remaining).sum::<usize>(), 3 * (30_000 - LAST_BYTES));
        assert!(!budget.has_room() && matches!(poll(&mut watched(10, &quick)), Poll::Ready(Some(_))));
        let mut waits = watched(10, &slow);
        assert!(poll(&mut waits).is_pending());
        pieces.clear();
        let frame = poll_fn(|context| Pin::new(&mut waits).poll_frame(context)).await;
        assert!(frame.is_some());
    }
}
