//! The log: one append-only order of records, which every subscriber follows at its own pace.
//!
//! [`Log`] is what the hub needs of a store. [`MemoryLog`] keeps the newest records in memory. Whoever writes another
//! one runs the `contract` suite (feature `contract`) over it; what the suite checks is what the hub relies on.

mod clock;
#[cfg(feature = "contract")]
pub mod contract;
mod disk;
mod evicted;
mod held;
mod import;
pub(crate) mod json;
mod memory;
mod merge;
mod names;
mod open;
mod record;
mod republish;
mod retention;
mod rules;
mod time;
pub(crate) mod topic_index;
pub(crate) mod turns;
mod url;

use std::{fmt, future::Future, pin::Pin, sync::Arc, time::Duration};

pub use crate::model::position::{Epoch, HubId, Position};
pub use clock::Clock;
pub use disk::{
    Check, DiskLog, DiskSettings, DiskStat, DiskView, Durability, FileStat, Finding, Found, Kept, NewEpoch,
    Part, Records, TopicStat, Unreadable, ViewError,
};
pub(crate) use import::BYTE_ORDER_MARK;
pub use import::{Import, ImportError};
pub use memory::MemoryLog;
pub use open::{LogSettings, OpenError, Opened, open};
pub use record::{Record, RecordId};
pub(crate) use republish::{Republishing, Sent, Unpublishable};
pub use retention::{InvalidRule, Limits, Retention, Rule, parse_bytes};
pub use time::{InvalidTime, RecordTime};
use tokio::sync::watch;
pub use url::{InvalidLogUrl, LogUrl};

pub use crate::log::turns::Turn;
use crate::{AttachmentId, Attachments, Selector, Topic, Update};

/// What an operation of a [`Log`] returns: a future that can be sent between threads.
pub type LogFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, LogError>> + Send + 'a>>;

/// A totally ordered, append-only sequence of records.
///
/// Sequences are given in the order of appending, from 1. Old records may be evicted, of the whole log or of some topics
/// (see [`Retention`]); who may miss one is told by [`Page::lost`]. The close of a topic outlives eviction: [`closed`](Log::closed) still finds
/// it, and [`read`](Log::read) still returns it to those who ask for its topic.
pub trait Log: Send + Sync + 'static {
    /// Appends updates in order, and returns when they are as durable as this log was told to make them.
    ///
    /// Nothing is visible to readers before it is durable. An update is refused, and with it all that follow it in the
    /// batch, when its topic is closed, its ID is taken by another content, or its key was used for another content. It
    /// is answered as the first time, and nothing is appended, when its key or its ID has been appended with the same
    /// content, or when it closes a topic again for the same reason (looked at in this order: key, ID, close).
    ///
    /// IDs and keys belong to topics: an update has its ID in each of its topics, and its key in the first. They outlive
    /// the record: an ID names no second update as long as it is remembered ([`Retention::names`]).
    ///
    /// Dropping the future may leave the batch appended or not appended, but never half visible.
    fn append(&self, batch: Vec<Append>) -> LogFuture<'_, Appended>;

    /// The same for a batch that has had to wait for its turn, which ends when the batch does not wait for the log any more.
    ///
    /// Where dropping the future leaves the batch waiting, the turn stays with the batch. Default: it ends with the future.
    fn append_in_turn(&self, batch: Vec<Append>, turn: Turn) -> LogFuture<'_, Appended> {
        let appended = self.append(batch);
        Box::pin(async move {
            let appended = appended.await;
            drop(turn);
            appended
        })
    }

    /// The records after `after` that match `selector`, in order, at most `limit` of them.
    fn read<'a>(&'a self, after: u64, selector: &'a Selector, limit: PageLimit) -> LogFuture<'a, Page>;

    /// The record at `sequence`, or `None` if it was evicted or isn't there yet.
    fn record(&self, sequence: u64) -> LogFuture<'_, Option<Arc<Record>>>;

    /// The sequence of the update with an ID that its publisher chose, of those that `selector` asks for, whether its record
    /// is kept or was evicted and the ID is remembered.
    ///
    /// `None` if there is none, and if there are several: which of them somebody saw can't be known. What a look-up costs
    /// does not grow with the topics that have the ID.
    fn find<'a>(&'a self, publisher_id: &'a str, selector: &'a Selector) -> LogFuture<'a, Option<u64>>;

    /// The record that closed `topic`, if it is closed.
    fn closed<'a>(&'a self, topic: &'a Topic) -> LogFuture<'a, Option<Arc<Record>>>;

    /// The record that announces an attachment, if it is kept. Default: none, as in a log without attachments.
    fn announcing<'a>(&'a self, attachment: &'a AttachmentId) -> LogFuture<'a, Option<Arc<Record>>> {
        let _ = attachment;
        Box::pin(std::future::ready(Ok(None)))
    }

    /// Where files go that are published, if the log keeps any. Default: it doesn't.
    ///
    /// A log that does takes over, when [`append`](Log::append) is called, the files that the batch announces. Whatever
    /// happens then, also if the future is dropped: a file stays exactly as long as there is a record that announces it.
    fn attachments(&self) -> Option<&Arc<Attachments>> {
        None
    }

    /// What the log holds now.
    fn bounds(&self) -> Bounds;

    /// Whether what is published can be kept, as far as the log knows without trying.
    ///
    /// # Errors
    /// Why publishes are refused, or would be. A log that can recover by itself finds out by itself.
    fn health(&self) -> Result<(), LogError>;

    /// What an operator should know of it beside that.
    fn wear(&self) -> Wear {
        Wear::default()
    }

    /// The newest sequence that readers may see; it changes when records become visible.
    fn follow(&self) -> watch::Receiver<u64>;

    /// How many reads run and wait, for a log whose readers are bounded. Default: it has no such bound.
    fn reads(&self) -> Option<Reads> {
        None
    }
}

/// What the readers of a log do at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reads {
    /// How many reads run.
    pub running: usize,
    /// How many wait until a reader is free.
    pub waiting: usize,
}

/// One update to be appended.
#[derive(Debug, Clone)]
pub struct Append {
    /// The update.
    pub update: Update,
    /// What makes repeating it harmless.
    pub key: Option<IdempotencyKey>,
    /// When it came, if that was not now: what is imported keeps its time.
    pub time: Option<RecordTime>,
}

impl From<Update> for Append {
    fn from(update: Update) -> Append {
        Append { update, key: None, time: None }
    }
}

/// A publisher's name for one publish, so that repeating it appends nothing.
///
/// A key belongs to a topic: the first one of the update that it is appended with. It is kept as long as the record, and
/// remembered for a while after that ([`Retention::names`]).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(Arc<str>);

impl IdempotencyKey {
    /// The longest key that a publisher may choose, in bytes.
    pub const MAX_BYTES: usize = 255;

    /// Stands before the number of a numbered key. No key that a publisher chooses has it.
    const NUMBER: char = '\u{1f}';

    /// Takes 1 to 255 bytes of printable ASCII.
    ///
    /// # Errors
    /// [`InvalidKey`] for anything else.
    pub fn parse(text: &str) -> Result<IdempotencyKey, InvalidKey> {
        let printable = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        if text.is_empty() || text.len() > IdempotencyKey::MAX_BYTES || !printable {
            return Err(InvalidKey { text: text.into() });
        }
        Ok(IdempotencyKey(text.into()))
    }

    /// The key of the `number`th update (from 1) of a publish that has many. It is no key that [`parse`](Self::parse)
    /// takes, so it is never taken for that of another publish.
    pub fn numbered(&self, number: u64) -> IdempotencyKey {
        IdempotencyKey(format!("{}{}{number}", self.0, IdempotencyKey::NUMBER).into())
    }

    /// Reads back what [`as_str`](Self::as_str) gave, numbered or not.
    ///
    /// # Errors
    /// [`InvalidKey`] for anything else.
    pub(crate) fn stored(text: &str) -> Result<IdempotencyKey, InvalidKey> {
        let invalid = || InvalidKey { text: text.into() };
        match text.split_once(IdempotencyKey::NUMBER) {
            Some((key, number)) => {
                let key = IdempotencyKey::parse(key)?.numbered(number.parse().map_err(|_| invalid())?);
                if key.as_str() == text { Ok(key) } else { Err(invalid()) }
            }
            None => IdempotencyKey::parse(text).or_else(|invalid| {
                // Earlier versions wrote a numbered key with `#`, and its number came on top of the key's length.
                let former = IdempotencyKey(text.into());
                let number = former.0.rsplit_once('#').filter(|_| former.formerly_numbered().is_some());
                number
                    .is_some_and(|(key, _)| IdempotencyKey::parse(key).is_ok())
                    .then_some(former)
                    .ok_or(invalid)
            }),
        }
    }

    /// A key `K#1` as the numbered key that earlier versions wrote so; `None` for any other.
    pub(crate) fn formerly_numbered(&self) -> Option<IdempotencyKey> {
        let (key, number) = self.0.rsplit_once('#')?;
        let is_number = number.bytes().all(|digit| digit.is_ascii_digit()) && !number.starts_with('0');
        let is_numbered = is_number && !number.is_empty() && !key.is_empty();
        is_numbered.then(|| IdempotencyKey(format!("{key}{}{number}", IdempotencyKey::NUMBER).into()))
    }

    /// The key's text, as it is stored: that of a numbered key has a control character before its number.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The key as it was sent; the number of an update follows after `#`.
impl fmt::Display for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.split_once(IdempotencyKey::NUMBER) {
            Some((key, number)) => write!(f, "{key}#{number}"),
            None => f.write_str(&self.0),
        }
    }
}

/// A text that is no [`IdempotencyKey`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("idempotency key {text:?} is not 1 to {} bytes of printable ASCII", IdempotencyKey::MAX_BYTES)]
pub struct InvalidKey {
    text: String,
}

/// The outcome of [`Log::append`]: a receipt for each update up to the first that was refused.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Appended {
    /// One for each update that is in the log now, in the order of the batch.
    pub receipts: Vec<Receipt>,
    /// Why the update after those was refused, if one was. Those behind it were not looked at.
    pub refused: Option<Refused>,
}

/// What a publisher gets for an update.
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

/// How much [`Log::read`] may return at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageLimit {
    /// The most records; at least 1.
    pub records: usize,
    /// No record is added once those before it have this many bytes of data, so a page is never empty for its size.
    pub bytes: usize,
}

impl PageLimit {
    /// Whether a page with so many records, and bytes of data in them, takes no more.
    pub(crate) fn is_reached(&self, records: usize, bytes: usize) -> bool {
        records == self.records.max(1) || bytes >= self.bytes.max(1)
    }
}

/// A piece of the log for one selector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// What matches, in order of sequence.
    pub records: Vec<Arc<Record>>,
    /// How far the log was looked through: all that matches up to here is in `records`, or lost.
    pub reached: Position,
    /// The last record behind the position that was asked for that has been evicted and could have matched, if there is one.
    pub lost: Option<u64>,
    /// The first sequence that is kept, or the next one if none is.
    pub oldest: u64,
}

impl Page {
    /// How many bytes of data its records have.
    pub(crate) fn data_bytes(&self) -> usize {
        self.records.iter().map(|record| record.event().data().len()).sum()
    }

    /// The position just before the first record of this page's selector that is kept, or where it was looked for in vain.
    pub fn before_first_kept(&self) -> Position {
        // Not before the oldest record of the log: what was evicted behind that one would be told again.
        match self.records.first() {
            Some(first) => Position::unchecked(first.sequence() - 1),
            None => self.reached,
        }
    }
}

/// What a log holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The log's life.
    pub epoch: Epoch,
    /// The first sequence that is kept, or the next one to be given if none is.
    pub oldest: u64,
    /// The last sequence that was ever evicted, at least: of what comes after it, nothing is missing. 0 before the first.
    pub evicted: u64,
    /// The last record that is visible; sequence 0 before the first.
    pub newest: Position,
}

/// What has gone wrong in a log without stopping it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Wear {
    /// How many records are over the limits and can't be evicted, because they are damaged.
    pub unevictable: u64,
    /// How far the machine's clock jumped, if it did and ages don't follow it; see [`Clock`].
    pub clock_jump: Duration,
}

/// The store failed.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The log is shut down or its store failed; nothing was appended.
    #[error("the log is not available: {reason}")]
    Unavailable {
        /// What it means for whoever asked, fit for clients.
        reason: &'static str,
        /// What happened, for the operator: it names files and internals.
        source: Option<Arc<dyn std::error::Error + Send + Sync>>,
    },
    /// As many reads wait for the log's readers as may; the next one may have room in a moment.
    #[error("{waiting} reads of the history wait for their turn, as many as may; try again in a moment")]
    Busy {
        /// How many wait.
        waiting: usize,
    },
    /// There is no room left where the log is kept; nothing was appended. It goes on by itself once there is room.
    #[error("the disk is full; free some space, or keep less (tidings serve --max-history)")]
    Full,
}

impl LogError {
    /// The log is not available for a reason that clients may read, because of what only the operator may.
    pub(crate) fn unavailable(
        reason: &'static str,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> LogError {
        LogError::Unavailable { reason, source: Some(Arc::from(source.into())) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_was_numbered_reads_back_in_both_spellings_whatever_its_length() {
        for key in ["K".to_owned(), "K".repeat(IdempotencyKey::MAX_BYTES)] {
            let numbered = IdempotencyKey::parse(&key).unwrap().numbered(10);
            assert_eq!(IdempotencyKey::stored(numbered.as_str()), Ok(numbered.clone()));
            let former = IdempotencyKey::stored(&format!("{key}#10")).unwrap();
            assert_eq!(former.as_str(), format!("{key}#10"));
            assert_eq!(former.formerly_numbered(), Some(numbered));
        }
        let longest = "K".repeat(IdempotencyKey::MAX_BYTES);
        for text in
            [format!("{longest}K"), format!("{longest}K#1"), format!("{longest}#01"), format!("{longest}#")]
        {
            assert!(IdempotencyKey::stored(&text).is_err(), "{text}");
        }
    }
}
