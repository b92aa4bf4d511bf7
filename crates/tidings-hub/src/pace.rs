//! How fast a reader has to be.

/// The least that a reader takes within the write timeout, unless that is more than there is. A byte now and then would
/// otherwise keep what waits for the reader in memory for as long as it likes.
const LEAST_TAKEN: usize = 64 << 10;

/// How a reader takes what waits for it, from when it did not take all of it at once until it has all.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace<T> {
    since: T,
    taken: usize,
}

impl<T: Copy> Pace<T> {
    /// A reader that has something to take from now on.
    pub(crate) fn new(now: T) -> Pace<T> {
        Pace { since: now, taken: 0 }
    }

    /// Notes that it has taken so many bytes; says whether that is enough for now, and its time begins anew.
    pub(crate) fn took(&mut self, bytes: usize, now: T) -> bool {
        self.taken = self.taken.saturating_add(bytes);
        let enough = self.taken >= LEAST_TAKEN;
        if enough {
            *self = Pace::new(now);
        }
        enough
    }

    /// Since when it has not taken enough. After the write timeout it is stalled.
    pub(crate) fn since(&self) -> T {
        self.since
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_counts_is_bytes_and_not_how_often() {
        let mut pace = Pace::new(0);
        for now in 1..100 {
            assert!(!pace.took(600, now));
        }
        assert_eq!(pace.since(), 0);
        assert!(pace.took(LEAST_TAKEN - 99 * 600, 100));
        assert_eq!(pace.since(), 100);
        assert!(!pace.took(LEAST_TAKEN - 1, 101) && pace.took(1, 102));
    }
}
