//! The record that says that a stream has begun.

use serde::{Deserialize, Serialize};

use super::{stream::StreamId, wire::Interface};
use crate::{Update, log::Record};

/// The facts about a request that are kept beside its answer.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Announcement {
    path: String,
    /// The digest of the body. A repeat with the same idempotency key must have the same.
    body: String,
}

impl Announcement {
    pub(super) fn new(interface: Interface, body: &str) -> Announcement {
        Announcement { path: interface.path().to_owned(), body: body.to_owned() }
    }

    pub(super) fn to_update(&self, id: &StreamId) -> Update {
        id.announce(serde_json::to_string(self).expect("strings are JSON"))
    }

    /// The digest of the body that the stream answers; `None` if `record` is not an announcement.
    pub(super) fn body(record: &Record) -> Option<String> {
        serde_json::from_str(record.event().data()).ok().map(|Announcement { body, .. }| body)
    }

    /// The stream that `record` announces; `None` if it is not an announcement.
    pub(super) fn read(record: &Record) -> Option<(StreamId, Interface)> {
        let id = StreamId::parse(record.publisher_id()?.strip_prefix('~')?.strip_suffix(".start")?)?;
        let announcement: Announcement = serde_json::from_str(record.event().data()).ok()?;
        Some((id, Interface::of_path(&announcement.path)?))
    }
}
