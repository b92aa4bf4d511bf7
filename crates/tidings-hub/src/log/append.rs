//! Appends to a log, and their results.

use super::{IdempotencyKey, RecordId, RecordTime};
use crate::{AttachmentId, Update};

/// One update to be appended.
#[derive(Debug, Clone)]
pub struct Append {
    /// The update.
    pub update: Update,
    /// The idempotency key, which makes a repetition harmless.
    pub key: Option<IdempotencyKey>,
    /// The time of the update, if it is not now: an imported update keeps its time.
    pub time: Option<RecordTime>,
}

impl From<Update> for Append {
    fn from(update: Update) -> Append {
        Append { update, key: None, time: None }
    }
}

/// The outcome of [`Log::append`](super::Log::append): a receipt for each update up to the first that was refused.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Appended {
    /// One for each update that is in the log now, in the order of the batch.
    pub receipts: Vec<Receipt>,
    /// Why the update after those was refused, if one was. The updates after it were not looked at.
    pub refused: Option<Refused>,
}

/// The answer to a publisher for an update.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The event's ID, the publisher's or the hub's.
    pub id: RecordId,
    /// Its position in the log's order.
    pub sequence: u64,
    /// Whether it was already there, and nothing was appended.
    pub repeated: bool,
    /// The attachment that its record announces: that of the first time if it was already there.
    pub attachment: Option<AttachmentId>,
}

/// Why an update was not appended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// The topic takes no more updates.
    #[error("topic {topic:?} was closed ({reason:?}); publish to another topic")]
    Closed {
        /// The topic.
        topic: String,
        /// The reason that its publisher gave.
        reason: String,
    },
    /// Another update of the same topic has this ID.
    #[error(
        "event id {id:?} belongs to another update of the topic; choose another, or leave it out and the hub gives one"
    )]
    IdTaken {
        /// The ID.
        id: String,
    },
    /// The topic is the hub's own.
    #[error("topic {topic:?} is reserved for a part of the hub; publish to another topic")]
    Reserved {
        /// The topic.
        topic: String,
    },
    /// The idempotency key has been used for another update of the same topic.
    #[error(
        "idempotency key {key:?} was used for another update of the topic; use a new key for each publish"
    )]
    KeyReused {
        /// The key.
        key: String,
    },
}
