//! The state of a log that readers see besides its database. The writer updates it after each commit.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::{pending_index::PendingIndex, recent::Recent};
use crate::log::{Bounds, Following, Newest, Page, PageLimit, Position, Record, disk::write::insert::Row};

/// Shared by the writer and all readers.
#[derive(Debug, Clone)]
pub(crate) struct Visible {
    bounds: Arc<RwLock<Bounds>>,
    newest: Arc<Newest>,
    pending_index: Arc<RwLock<PendingIndex>>,
    recent: Arc<RwLock<Recent>>,
}

impl Visible {
    pub(crate) fn new(bounds: Bounds, pending_index: PendingIndex) -> Visible {
        Visible {
            bounds: Arc::new(RwLock::new(bounds)),
            newest: Arc::new(Newest::at(bounds.newest.sequence)),
            pending_index: Arc::new(RwLock::new(pending_index)),
            recent: Arc::default(),
        }
    }

    pub(crate) fn bounds(&self) -> Bounds {
        *self.bounds.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn follow(&self) -> Following {
        self.newest.follow()
    }

    /// Says that what is older is gone. Readers no longer find it once that is committed, on the disk or not.
    pub(crate) fn show_evicted(&self, Bounds { oldest, evicted, .. }: Bounds) {
        let mut visible = self.bounds.write().unwrap_or_else(PoisonError::into_inner);
        (visible.oldest, visible.evicted) = (oldest, evicted);
    }

    /// Shows new records to readers. Returns the records that are no longer kept in memory, because freeing them takes
    /// longer than everything else here.
    pub(crate) fn show(&self, rows: Vec<Row>, newest: Position) -> Vec<Arc<Record>> {
        let mut gone = Vec::with_capacity(rows.len());
        {
            let mut recent = self.recent.write().unwrap_or_else(PoisonError::into_inner);
            rows.into_iter().for_each(|row| recent.add(row.record, &mut gone));
        }
        self.bounds.write().unwrap_or_else(PoisonError::into_inner).newest = newest;
        self.newest.set(newest.sequence);
        gone
    }

    /// All that follows `after`, if it is still in memory.
    pub(crate) fn recent_page(&self, after: u64, limit: PageLimit) -> Option<Page> {
        let bounds = self.bounds();
        self.recent.read().unwrap_or_else(PoisonError::into_inner).page(after, limit, bounds)
    }

    /// The records that the table of topics lacks. These are committed records, visible or not.
    pub(crate) fn pending_index(&self) -> RwLockReadGuard<'_, PendingIndex> {
        self.pending_index.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn change_unlisted(&self) -> RwLockWriteGuard<'_, PendingIndex> {
        self.pending_index.write().unwrap_or_else(PoisonError::into_inner)
    }
}
