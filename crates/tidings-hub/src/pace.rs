//! The minimum pace of a reader.

/// How many bytes a reader must take within the write timeout, unless less is waiting. Otherwise a reader that takes a
/// byte now and then could keep its waiting data in memory for ever.
const LEAST_TAKEN: usize = 64 << 10;

/// The progress of a reader from the moment when it could not take all of its data until it has taken all.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace<T> {
    since: T,
    taken: usize,
}

impl<T: Copy> Pace<T> {
    /// A reader that has data to take from now on.
    pub(crate) fn new(now: T) -> Pace<T> {
        Pace { since: now, taken: 0 }
    }

    /// Notes that the reader has taken `bytes`. Returns whether this is enough for now. Then its time starts again.
    pub(crate) fn took(&mut self, bytes: usize, now: T) -> bool {
        self.taken = self.taken.saturating_add(bytes);
        let enough = self.taken >= LEAST_TAKEN;
        if enough {
            *self = Pace::new(now);
        }
        enough
    }

    /// The time since which the reader has not taken enough. After the write timeout it counts as stalled.
    pub(crate) fn since(&self) -> T {
        self.since
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_count_and_not_how_often() {
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
