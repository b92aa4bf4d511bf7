//! How a group hears of updates.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use super::{inbox::Inbox, slots::Slot};
use crate::delivery::routing::Listen;

/// Puts its group into the worker's inbox at the first update since the group last looked.
#[derive(Debug)]
pub(super) struct Bell {
    inbox: Arc<Inbox>,
    group: Slot,
    /// The first update since then, or `NOTHING`. None before it is for this group.
    first: AtomicU64,
}

const NOTHING: u64 = u64::MAX;

impl Bell {
    pub(super) fn new(inbox: Arc<Inbox>, group: Slot) -> Bell {
        Bell { inbox, group, first: AtomicU64::new(NOTHING) }
    }

    /// The first update since the last call. From now on the next one rings again.
    pub(super) fn take(&self) -> Option<u64> {
        let first = self.first.swap(NOTHING, Ordering::AcqRel);
        (first != NOTHING).then_some(first)
    }
}

impl Listen for Bell {
    fn signal(&self, sequence: u64) {
        // It writes even where it changes nothing, so that a loop that takes a number sees all that came before each signal.
        if self.first.fetch_min(sequence, Ordering::AcqRel) == NOTHING {
            self.inbox.put(|mail| mail.signalled.push(self.group));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_put_into_the_inbox_once_until_it_looks() {
        let inbox = Arc::<Inbox>::default();
        let bell = Bell::new(inbox.clone(), 7);
        for _ in 0..2 {
            for sequence in [5, 6, 4] {
                bell.signal(sequence);
            }
            let mut mail = Default::default();
            inbox.take(&mut mail);
            assert_eq!(mail.signalled, [7]);
            assert_eq!((bell.take(), bell.take()), (Some(4), None));
        }
    }
}
