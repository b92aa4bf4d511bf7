//! Whether the clients of HTTP/2 streams take their events, and how many bytes wait for them.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
};

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};

use crate::{
    budget::{Budget, Share},
    http::HubBody,
};

/// How many bytes of an answer are given at once. The client has to take as many before the write timeout.
const PIECE_BYTES: usize = 64 << 10;

/// The last bytes of an answer. hyper forgets the answer with them, and then the hub cannot tell whether the client takes them.
const LAST_BYTES: usize = 1 << 10;

/// How many bytes may wait in a connection without a share of the memory for answers. So live events go on for clients that take
/// them, no matter what others do, and touch nothing that connections share.
const FREE_BYTES: usize = 64 << 10;

/// The steps in which the share of a connection grows and shrinks, in bytes.
const LUMP_BYTES: usize = 64 << 10;

/// How far the answers of one connection are. One answer is polled at a time.
#[derive(Debug, Clone)]
pub(crate) struct Progress(Arc<Connection>);

#[derive(Debug)]
struct Connection {
    room: Budget,
    /// Bytes that wait for the client, of all its streams.
    waiting: Count,
    /// The share of the memory for answers, for bytes beyond [`FREE_BYTES`].
    share: Mutex<Share>,
    /// The size of the share in bytes.
    share_bytes: Count,
    /// The streams that wait until less waits here, or until there is memory.
    parked: Mutex<Vec<Waker>>,
    /// Whether the body that is dropped now is dropped because its client takes too little.
    stalls: AtomicBool,
    /// Whether the body that was polled last gave the first bytes that wait.
    gave: AtomicBool,
    /// The counter of the body that was polled last, if it gave something for the first time.
    new: Mutex<Option<Arc<Untaken>>>,
}

/// A number that only the connection's own task changes, so that it needs no atomic addition. Each event changes several.
#[derive(Debug, Default)]
struct Count(AtomicUsize);

impl Count {
    fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    fn set(&self, count: usize) {
        self.0.store(count, Ordering::Relaxed);
    }

    fn add(&self, count: usize) -> usize {
        self.set(self.get() + count);
        self.get()
    }

    fn sub(&self, count: usize) -> usize {
        self.set(self.get() - count);
        self.get()
    }
}

impl Connection {
    /// Counts bytes that are given to the client. `reserved` was reserved for them.
    fn give(&self, bytes: usize, reserved: &mut Option<Share>) {
        let waiting = self.waiting.add(bytes);
        let needed = waiting.saturating_sub(FREE_BYTES);
        if needed > self.share_bytes.get() || reserved.is_some() {
            self.take_share(needed, reserved.take());
        }
    }

    /// Makes the connection's share large enough for `needed` bytes.
    #[cold]
    fn take_share(&self, needed: usize, reserved: Option<Share>) {
        let mut share = locked(&self.share);
        if let Some(reserved) = reserved {
            share.absorb(reserved);
        }
        if needed > share.bytes() {
            let lacking = needed.next_multiple_of(LUMP_BYTES) - share.bytes();
            share.overdraw(lacking);
        }
        self.share_bytes.set(share.bytes());
    }

    /// Counts bytes that the client has, or will not get.
    fn leave(&self, bytes: usize) {
        let waiting = self.waiting.sub(bytes);
        let needed = waiting.saturating_sub(FREE_BYTES);
        let has = self.share_bytes.get();
        if has > 0 && (needed == 0 || has.saturating_sub(needed) >= 2 * LUMP_BYTES) {
            let mut share = locked(&self.share);
            share.shrink_to(needed.next_multiple_of(LUMP_BYTES));
            self.share_bytes.set(share.bytes());
        }
        if waiting < FREE_BYTES && waiting + bytes >= FREE_BYTES {
            std::mem::take(&mut *locked(&self.parked)).into_iter().for_each(Waker::wake);
        }
    }

    /// Wakes this stream when less than [`FREE_BYTES`] waits.
    fn park(&self, waker: &Waker) {
        let mut parked = locked(&self.parked);
        if !parked.iter().any(|known| known.will_wake(waker)) {
            parked.push(waker.clone());
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The bytes that wait for the client of one stream.
#[derive(Debug)]
pub(super) struct Untaken {
    bytes: Count,
    /// Bytes that were taken since the last call of `take`.
    taken: Count,
    connection: Arc<Connection>,
}

impl Untaken {
    /// Whether the client has everything.
    pub(super) fn is_nothing(&self) -> bool {
        self.bytes.get() == 0
    }

    /// How many bytes were taken since the last call.
    pub(super) fn take_taken(&self) -> usize {
        let taken = self.taken.get();
        self.taken.set(0);
        taken
    }

    fn leave(&self, count: usize) {
        self.bytes.sub(count);
        self.connection.leave(count);
    }
}

impl Progress {
    /// For a connection whose answers share `room` with those of all other connections.
    pub(crate) fn new(room: Budget) -> Progress {
        Progress(Arc::new(Connection {
            share: Mutex::new(room.share()),
            room,
            waiting: Count::default(),
            share_bytes: Count::default(),
            parked: Mutex::default(),
            stalls: AtomicBool::new(false),
            gave: AtomicBool::new(false),
            new: Mutex::default(),
        }))
    }

    /// Whether something waits for the client of the stream that was polled last, and nothing waited before.
    pub(super) fn take_begun(&self) -> bool {
        let gave = self.0.gave.load(Ordering::Relaxed);
        if gave {
            self.0.gave.store(false, Ordering::Relaxed);
        }
        gave
    }

    /// The counter of the stream that was polled last, once for each stream.
    pub(super) fn take_new(&self) -> Option<Arc<Untaken>> {
        locked(&self.0.new).take()
    }

    /// Drops a stream whose client takes too little, and lets its body know.
    pub(crate) fn drop_stalled<S>(&self, stream: S) {
        self.0.stalls.store(true, Ordering::Relaxed);
        drop(stream);
        self.0.stalls.store(false, Ordering::Relaxed);
    }

    /// Whether the client has all that was given.
    pub(crate) fn has_nothing(&self) -> bool {
        self.0.waiting.get() == 0
    }

    fn may_give(&self) -> bool {
        self.0.waiting.get() < FREE_BYTES || self.0.room.has_room()
    }
}

/// A body whose pieces are counted until the socket has them.
pub(crate) struct Watched {
    body: HubBody,
    progress: Progress,
    waiting: Arc<Untaken>,
    /// Whether its stream has been told of `waiting`.
    is_known: bool,
    /// The rest of the last chunk of the body, and its share of the memory.
    rest: Bytes,
    share: Share,
    /// The turn of this stream, while the memory for answers is used up.
    turn: Option<Pin<Box<dyn Future<Output = Share> + Send>>>,
    /// The memory that the turn has brought, for the next piece.
    reserved: Option<Share>,
}

impl Watched {
    pub(crate) fn new(body: HubBody, progress: Progress) -> Watched {
        let share = progress.0.room.share();
        let connection = progress.0.clone();
        let waiting = Arc::new(Untaken { bytes: Count::default(), taken: Count::default(), connection });
        Watched {
            body,
            progress,
            waiting,
            is_known: false,
            rest: Bytes::new(),
            share,
            turn: None,
            reserved: None,
        }
    }

    /// Ready when a piece may be given. A stream that waits is woken by its own connection or by the memory of all, by
    /// the first of them that has room.
    fn poll_room(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.reserved.is_none() && !self.progress.may_give() {
            self.progress.0.park(context.waker());
            // Bytes may have left in between.
            if !self.progress.may_give() {
                let room = &self.progress.0.room;
                let turn = self.turn.get_or_insert_with(|| Box::pin(room.clone().reserve(PIECE_BYTES)));
                self.reserved = Some(std::task::ready!(turn.as_mut().poll(context)));
            }
        }
        if self.turn.is_some() {
            self.turn = None;
        }
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
        self.count(bytes)
    }

    /// Counts the bytes that are given now.
    fn count(&mut self, bytes: Bytes) -> Piece {
        if self.waiting.is_nothing() {
            self.waiting.take_taken();
            self.progress.0.gave.store(true, Ordering::Relaxed);
            if !self.is_known {
                self.is_known = true;
                *locked(&self.progress.0.new) = Some(self.waiting.clone());
            }
        }
        self.waiting.bytes.add(bytes.len());
        self.progress.0.give(bytes.len(), &mut self.reserved);
        Piece { bytes, of: self.waiting.clone() }
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
            let Poll::Ready(data) = watched.body.poll_chunk(context) else {
                // It has nothing to give, so another stream gets its turn.
                watched.reserved = None;
                return Poll::Pending;
            };
            match data {
                None => return Poll::Ready(None),
                // Most events are a single piece.
                Some(Ok(data)) if data.len() <= LAST_BYTES => {
                    return Poll::Ready(Some(Ok(Frame::data(watched.count(data)))));
                }
                Some(data) => watched.rest = data?,
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
pub(crate) struct Piece {
    bytes: Bytes,
    of: Arc<Untaken>,
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
        self.of.taken.add(count);
        self.of.leave(count);
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        if !self.bytes.is_empty() {
            self.of.leave(self.bytes.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::poll_fn,
        sync::atomic::AtomicUsize,
        task::{Wake, Waker},
    };

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
        assert!(progress.take_begun(), "something waits");
        let waiting = progress.take_new().expect("it is told of once");
        first.advance(1_000);
        assert_eq!((first.remaining(), waiting.take_taken()), (PIECE_BYTES - 1_000, 1_000));
        let Poll::Ready(Some(second)) = poll(&mut body) else { panic!("it has a second one") };
        assert!(!progress.take_begun(), "the first still waits");
        assert_eq!((second.remaining(), body.is_end_stream()), (100_000 - PIECE_BYTES - LAST_BYTES, false));
        let Poll::Ready(Some(last)) = poll(&mut body) else { panic!("it has a last one") };
        assert_eq!((last.remaining(), body.is_end_stream()), (LAST_BYTES, true));
        assert_eq!(budget.used_bytes(), LUMP_BYTES as u64, "what waits beyond {FREE_BYTES} bytes");
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

    /// A stream that counts how often it is woken.
    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn spent() -> (Budget, Share) {
        let budget = Budget::new(64 << 10, Counter::default());
        let mut share = budget.share();
        share.overdraw(64 << 10);
        (budget, share)
    }

    #[test]
    fn a_stream_whose_client_has_all_goes_on_although_the_memory_stays_spent() {
        let (budget, _spent) = spent();
        let progress = Progress::new(budget);
        let Poll::Ready(Some(first)) = poll(&mut watched(FREE_BYTES + LAST_BYTES, &progress)) else {
            panic!("what is free is given")
        };
        let (mut second, woken) = (watched(10, &progress), Arc::new(Woken::default()));
        let waker = Waker::from(woken.clone());
        let mut poll = || Pin::new(&mut second).poll_frame(&mut Context::from_waker(&waker)).is_ready();
        assert!(!poll());
        drop(first);
        assert_eq!(woken.0.load(Ordering::Relaxed), 1);
        assert!(poll());
    }

    #[test]
    fn of_several_that_wait_for_memory_one_is_woken_for_each_piece_that_is_free() {
        let (budget, mut spent) = spent();
        let mut waiting: Vec<_> = (0..3)
            .map(|_| {
                let progress = Progress::new(budget.clone());
                let full = super::tests::poll(&mut watched(FREE_BYTES + LAST_BYTES, &progress));
                (watched(10, &progress), full, Arc::new(Woken::default()))
            })
            .collect();
        let mut given = Vec::new();
        let mut poll_all = |given: &mut Vec<_>| {
            for (number, (body, _, woken)) in waiting.iter_mut().enumerate() {
                let waker = Waker::from(woken.clone());
                // The client keeps all bytes that are given.
                let piece = Pin::new(body).poll_frame(&mut Context::from_waker(&waker));
                given.extend(piece.is_ready().then_some((number, piece)));
            }
            waiting.iter().map(|(.., woken)| woken.0.load(Ordering::Relaxed)).collect::<Vec<_>>()
        };
        assert_eq!(poll_all(&mut given), [0, 0, 0]);
        // Less than a piece goes to the first one, which waits for the rest of it; nobody is woken for nothing.
        spent.shrink_to(63 << 10);
        assert_eq!((poll_all(&mut given), given.len()), (vec![0, 0, 0], 0));
        spent.clear();
        assert_eq!(poll_all(&mut given), [1, 0, 0]);
        assert_eq!(given.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [0]);
    }
}
