//! Budgets: memory that the whole hub may use for one purpose. Each connection is bounded, and a budget bounds their
//! sum.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use prometheus_client::metrics::counter::Counter;
use tokio::{sync::Semaphore, time::timeout};

/// The unit of room, so that a share of any size is one number of permits.
const KIB: usize = 1 << 10;

/// How long a request waits for room before it is refused. The time is long enough for a burst to pass. It is short
/// enough that requests that hold some of the room and wait for more do not block each other for long.
const PATIENCE: Duration = Duration::from_secs(2);

/// A number of bytes that many holders share. Cheap to clone.
///
/// Unfinished bodies of requests take [shares](Share) of `Hub::bodies_room`, also those of the gateway. See
/// `PublishedBody::read_whole`, whose bytes hold their share for as long as they live.
#[derive(Clone)]
pub(crate) struct Budget(Arc<Room>);

struct Room {
    kib: usize,
    free: Semaphore,
    /// The number of bytes taken beyond the free ones.
    overdrawn_kib: AtomicUsize,
    refused: Counter,
}

/// One holder's part of a budget. Dropping it releases everything.
pub(crate) struct Share {
    budget: Budget,
    kib: usize,
}

/// No room became free in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoRoom;

impl Budget {
    /// Makes a budget of `bytes`, at least one KiB. Requests that find no room are counted in `refused`.
    pub(crate) fn new(bytes: u64, refused: Counter) -> Budget {
        let kib = usize::try_from(bytes / KIB as u64).unwrap_or(usize::MAX).clamp(1, u32::MAX as usize);
        let (free, overdrawn_kib) = (Semaphore::new(kib), AtomicUsize::new(0));
        Budget(Arc::new(Room { kib, free, overdrawn_kib, refused }))
    }

    /// Returns an empty share.
    pub(crate) fn share(&self) -> Share {
        Share { budget: self.clone(), kib: 0 }
    }

    /// Whether any bytes are free. Call [`Share::overdraw`] only while this is true.
    pub(crate) fn has_room(&self) -> bool {
        self.0.free.available_permits() > 0
    }

    /// Takes `bytes` once they are free, or the whole budget if that is less. Waiting callers are served in turn. A
    /// caller keeps the bytes that it has got so far, so no caller is woken for bytes that another one takes. Cancel
    /// safe.
    pub(crate) async fn reserve(self, bytes: usize) -> Share {
        let mut share = self.share();
        let more = share.lacks(bytes);
        // Nothing ever closes the semaphore.
        if let Ok(taken) = self.0.free.acquire_many(more).await {
            taken.forget();
            share.kib = more as usize;
        }
        share
    }

    /// The size of the budget in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        (self.0.kib * KIB) as u64
    }

    /// The number of bytes that are taken now. It exceeds the size while the budget is overdrawn.
    pub(crate) fn used_bytes(&self) -> u64 {
        let taken = self.0.kib.saturating_sub(self.0.free.available_permits());
        ((taken + self.0.overdrawn_kib.load(Ordering::Relaxed)) * KIB) as u64
    }

    fn give_back(&self, kib: usize) {
        let overdrawn = &self.0.overdrawn_kib;
        let paid = overdrawn
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |overdrawn| {
                (overdrawn > 0).then(|| overdrawn.saturating_sub(kib))
            })
            .map_or(0, |overdrawn| overdrawn.min(kib));
        self.0.free.add_permits(kib - paid);
    }
}

impl Share {
    /// Grows to at least `bytes` if they are free now. Returns whether it did.
    ///
    /// A share larger than the budget becomes the whole budget.
    pub(crate) fn try_grow_to(&mut self, bytes: usize) -> bool {
        let more = self.lacks(bytes);
        match self.budget.0.free.try_acquire_many(more) {
            Ok(taken) => taken.forget(),
            Err(_) => return false,
        }
        self.kib += more as usize;
        true
    }

    /// The same, but waits a while for free bytes, in turn with other callers. Cancel safe.
    ///
    /// # Errors
    /// [`NoRoom`] when the while is over. The share then has the same bytes as before.
    pub(crate) async fn grow_to(&mut self, bytes: usize) -> Result<(), NoRoom> {
        if self.try_grow_to(bytes) {
            return Ok(());
        }
        let more = self.lacks(bytes);
        match timeout(PATIENCE, self.budget.0.free.acquire_many(more)).await {
            Ok(Ok(taken)) => taken.forget(),
            Ok(Err(_)) | Err(_) => return Err(self.refuse()),
        }
        self.kib += more as usize;
        Ok(())
    }

    /// Adds bytes that are already in memory, even if they are not free. Waiting callers then wait longer.
    pub(crate) fn overdraw(&mut self, bytes: usize) {
        let more = bytes.div_ceil(KIB);
        // The free bytes are taken first, so that no other caller takes them.
        let free = self.budget.0.free.forget_permits(more);
        if free < more {
            self.budget.0.overdrawn_kib.fetch_add(more - free, Ordering::AcqRel);
        }
        self.kib += more;
    }

    /// The number of bytes in this share.
    pub(crate) fn bytes(&self) -> usize {
        self.kib * KIB
    }

    /// Adds the bytes of `other`, which is a share of the same budget.
    pub(crate) fn absorb(&mut self, mut other: Share) {
        debug_assert!(Arc::ptr_eq(&self.budget.0, &other.budget.0), "both are shares of one budget");
        self.kib += std::mem::take(&mut other.kib);
    }

    /// Releases the bytes beyond `bytes`.
    pub(crate) fn shrink_to(&mut self, bytes: usize) {
        let left = bytes.div_ceil(KIB).min(self.kib);
        let back = self.kib - left;
        self.kib = left;
        if back > 0 {
            self.budget.give_back(back);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.kib == 0
    }

    /// Releases everything.
    pub(crate) fn clear(&mut self) {
        self.shrink_to(0);
    }

    /// Counts a request that is refused because there is no room.
    pub(crate) fn refuse(&self) -> NoRoom {
        self.budget.0.refused.inc();
        NoRoom
    }

    fn lacks(&self, bytes: usize) -> u32 {
        let kib = bytes.div_ceil(KIB).min(self.budget.0.kib).saturating_sub(self.kib);
        u32::try_from(kib).expect("a budget has no more")
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.clear();
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Budget({} of {} bytes)", self.used_bytes(), self.bytes())
    }
}

impl fmt::Debug for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Share({} KiB)", self.kib)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        pin::Pin,
        task::{Context, Poll, Waker},
    };

    use super::*;

    fn budget(bytes: u64) -> Budget {
        Budget::new(bytes, Counter::default())
    }

    #[test]
    fn shares_together_are_never_more_than_the_budget() {
        let budget = budget(10 << 10);
        let (mut one, mut two) = (budget.share(), budget.share());
        assert!(one.try_grow_to(6 << 10) && !two.try_grow_to(5 << 10));
        assert!(two.try_grow_to((4 << 10) - 1) && budget.used_bytes() == 10 << 10);
        assert!(!budget.has_room() && one.try_grow_to(1), "it has that");
        drop(one);
        assert_eq!(budget.used_bytes(), 4 << 10);
    }

    #[test]
    fn a_share_larger_than_the_budget_is_the_whole_budget() {
        let budget = budget(4 << 10);
        let mut share = budget.share();
        assert!(share.try_grow_to(usize::MAX));
        assert!(!budget.share().try_grow_to(1));
        share.clear();
        assert_eq!(budget.used_bytes(), 0);
    }

    #[test]
    fn what_is_overdrawn_is_paid_before_others_have_room() {
        let budget = budget(4 << 10);
        let (mut one, mut two) = (budget.share(), budget.share());
        one.overdraw(3 << 10);
        two.overdraw(6 << 10);
        assert_eq!((budget.used_bytes(), budget.has_room()), (9 << 10, false));
        drop(one);
        assert_eq!((budget.used_bytes(), budget.share().try_grow_to(2 << 10)), (6 << 10, false));
        drop(two);
        assert!(budget.used_bytes() == 0 && budget.share().try_grow_to(4 << 10));
    }

    #[test]
    fn a_share_gives_back_a_part_and_takes_another_in() {
        let budget = budget(10 << 10);
        let (mut one, mut two) = (budget.share(), budget.share());
        assert!(one.try_grow_to(6 << 10) && two.try_grow_to(4 << 10));
        one.absorb(two);
        assert_eq!((one.bytes(), budget.used_bytes()), (10 << 10, 10 << 10));
        one.shrink_to((3 << 10) - 1);
        assert_eq!((one.bytes(), budget.used_bytes()), (3 << 10, 3 << 10));
        one.shrink_to(9 << 10);
        assert_eq!(one.bytes(), 3 << 10, "it does not grow");
    }

    #[tokio::test]
    async fn callers_that_reserve_are_served_in_turn_and_keep_their_bytes() {
        let budget = budget(4 << 10);
        let mut all = budget.share();
        assert!(all.try_grow_to(4 << 10));
        type Waiting = Pin<Box<dyn Future<Output = Share>>>;
        let reserve = || -> Waiting { Box::pin(budget.clone().reserve(2 << 10)) };
        let mut waiting = vec![reserve(), reserve(), reserve()];
        let mut context = Context::from_waker(Waker::noop());
        let mut served = |waiting: &mut Vec<Waiting>| {
            let mut shares = Vec::new();
            waiting.retain_mut(|reserve| match reserve.as_mut().poll(&mut context) {
                Poll::Ready(share) => {
                    shares.push(share);
                    false
                }
                Poll::Pending => true,
            });
            shares
        };
        assert!(served(&mut waiting).is_empty());
        // The first caller has less than it wants. These bytes are kept for it, and no other caller gets them.
        all.shrink_to(3 << 10);
        assert!(served(&mut waiting).is_empty() && !budget.has_room());
        all.shrink_to(2 << 10);
        let first = served(&mut waiting);
        assert_eq!((first.len(), budget.used_bytes()), (1, 4 << 10));
        drop((first, all));
        assert_eq!(served(&mut waiting).len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_waits_for_room_has_it_when_it_comes_and_is_refused_when_it_does_not() {
        let budget = budget(4 << 10);
        let (mut one, mut two) = (budget.share(), budget.share());
        one.grow_to(3 << 10).await.unwrap();
        assert_eq!(two.grow_to(2 << 10).await, Err(NoRoom));
        assert_eq!((budget.0.refused.get(), budget.used_bytes()), (1, 3 << 10));
        let (waited, ()) = tokio::join!(two.grow_to(2 << 10), async { one.clear() });
        assert_eq!((waited, budget.used_bytes()), (Ok(()), 2 << 10));
    }
}
