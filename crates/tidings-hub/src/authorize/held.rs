//! The places and tickets that open streams hold.

use super::{Audit, AuditEvent, Place, TicketStream};

/// The things that a stream holds for as long as it is open, beside its grant: its place among the streams of its client, and the
/// ticket with which its client may come back. Dropping it gives them back.
#[derive(Debug, Default)]
pub(crate) struct Held {
    pub(super) place: Option<Place>,
    pub(super) ticket: Option<TicketStream>,
    /// Noted when the stream ends.
    pub(super) ended: Option<(Audit, Box<AuditEvent>)>,
}

impl Held {
    /// `None` if it holds nothing.
    pub(super) fn boxed(self) -> Option<Box<Held>> {
        (self.place.is_some() || self.ticket.is_some() || self.ended.is_some()).then(|| Box::new(self))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some((audit, event)) = self.ended.take() {
            audit.note(*event);
        }
    }
}
