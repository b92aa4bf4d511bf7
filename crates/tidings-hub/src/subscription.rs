//! What a subscriber asked for and may have, and how that is read.

use std::sync::Arc;

use crate::{
    Interest,
    authorize::Grant,
    delivery::{Chunk, Form, hub_event},
    hub::Shared,
    log::{HubId, LogError, Page, PageLimit, Place},
    resume::{Gap, GapReason},
};

/// How much is read from the log at once.
pub(crate) const PAGE: PageLimit = PageLimit { records: 500, bytes: Chunk::FULL };

/// What a subscriber gets. For two with the same subscription at the same place, the next chunk is the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Subscription {
    pub(crate) interest: Arc<Interest>,
    pub(crate) form: Form,
    pub(crate) grant: Grant,
}

/// What follows a place.
#[derive(Debug)]
pub(crate) struct Read {
    /// What to send, possibly nothing.
    pub(crate) chunk: Chunk,
    /// All that matches up to here is in the chunk.
    pub(crate) reached: u64,
    /// Whether there may be more behind that.
    pub(crate) more: bool,
}

impl Subscription {
    /// What follows `after` in the window; `None` if that place is before it, and the log has to be read.
    pub(crate) fn read_window(&self, shared: &Shared, after: u64) -> Option<Read> {
        // Frames are encoded and joined after this line, when the window is not locked.
        let run = shared.read_window().read(after, &self.interest)?;
        let mut chunk = Chunk::default();
        let mut reached = after;
        for framed in &run.records {
            // A run is measured by its data; its frames may be longer.
            if chunk.is_full() {
                return Some(Read { chunk, reached, more: true });
            }
            if self.grant.may_receive(&framed.record) {
                chunk.push_framed(framed, self.form);
            }
            reached = framed.record.sequence();
        }
        Some(Read { chunk, reached: run.reached, more: run.more })
    }

    /// A page of the log from `after` on, with a `gap` event first if it turns out that something there is lost.
    pub(crate) async fn read_log(&self, shared: &Shared, after: u64) -> Result<Read, LogError> {
        let page = shared.log.read(after, &self.interest, PAGE).await?;
        let gap = match page.lost {
            true => {
                let place = HubId { epoch: shared.log.bounds().epoch, place: Place::unchecked(after) };
                Some(Gap::before(&*shared.log, &page, place.to_string(), GapReason::Evicted).await?)
            }
            false => None,
        };
        Ok(self.read_page(shared, after, &page, gap))
    }

    /// The same of a page that has been read.
    pub(crate) fn read_page(&self, shared: &Shared, after: u64, page: &Page, gap: Option<Gap>) -> Read {
        let mut chunk = Chunk::default();
        if let Some(gap) = gap {
            shared.metrics.gap(gap.reason);
            chunk.push_hub_event(&hub_event("gap", &gap.to_json(), gap.id.to_string()));
        }
        for record in page.records.iter().filter(|record| self.grant.may_receive(record)) {
            chunk.push(record, self.form);
        }
        Read { chunk, reached: after.max(page.reached.sequence), more: true }
    }
}
