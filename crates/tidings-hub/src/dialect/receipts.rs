//! The receipts of a publish, as its answer tells them.

use crate::{
    attachments::Announcement,
    log::{Receipt, RecordId},
};

/// The receipts of one request.
pub(crate) enum Published<'a> {
    /// Its one update.
    One(&'a Receipt),
    /// Its updates, however many there are.
    Many(&'a Receipts),
}

/// The receipts of several updates, in short.
#[derive(Debug, Default)]
pub(crate) struct Receipts {
    pub(crate) count: u64,
    pub(crate) first: Option<RecordId>,
    pub(crate) last: Option<RecordId>,
    /// Where the file of the first update is, if it announces one.
    pub(crate) attachment: Option<String>,
}

impl Receipts {
    pub(crate) fn of(receipts: &[Receipt]) -> Receipts {
        let mut all = Receipts::default();
        all.add(receipts);
        let attachment = receipts.first().and_then(|first| first.attachment.as_ref());
        all.attachment = attachment.map(Announcement::url);
        all
    }

    pub(crate) fn add(&mut self, receipts: &[Receipt]) {
        self.count += receipts.len() as u64;
        if let (None, Some(first)) = (&self.first, receipts.first()) {
            self.first = Some(first.id.clone());
        }
        if let Some(last) = receipts.last() {
            self.last = Some(last.id.clone());
        }
    }
}
