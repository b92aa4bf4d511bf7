//! The names that publishers give to updates: IDs and idempotency keys, each within a topic.

use std::fmt;

use super::{
    Epoch, HubId, IdempotencyKey, Position, Receipt, Record, RecordId, Refused,
    record::{content, receipt},
};
use crate::{Topic, Update};

/// The kind of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The event's ID. An update has it in each of its topics.
    Id = 1,
    /// The idempotency key that it was published with. An update has it in its first topic.
    Key = 2,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Id => "event id",
            Kind::Key => "idempotency key",
        })
    }
}

impl Kind {
    /// The refusal of another update with this name.
    pub(super) fn refuse(self, name: &str) -> Refused {
        match self {
            Kind::Id => Refused::IdTaken { id: name.to_owned() },
            Kind::Key => Refused::KeyReused { key: IdempotencyKey::as_sent(name) },
        }
    }
}

/// All names of an update, each with its topic. The key comes first: it is what a publisher sends for the case that it
/// repeats.
pub(super) fn names_of<'a>(
    topics: &'a [Topic],
    publisher_id: Option<&'a str>,
    key: Option<&'a IdempotencyKey>,
) -> impl Iterator<Item = (Kind, &'a str, &'a Topic)> {
    let id =
        publisher_id.into_iter().flat_map(move |id| topics.iter().map(move |topic| (Kind::Id, id, topic)));
    let key = key.zip(topics.first()).map(|(key, topic)| (Kind::Key, key.as_str(), topic));
    key.into_iter().chain(id)
}

/// The answer to `update`, which has a name of `record`; `None` if it says something else.
pub(super) fn again(record: &Record, update: &Update) -> Option<Receipt> {
    record.says_the_same_as(update).then(|| receipt(record, true))
}

/// The remembered data of an evicted record with a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gone {
    /// The record's sequence, which the receipt of a repetition has.
    pub(crate) sequence: u64,
    /// The record's check, which is in the ID that the hub gave it.
    pub(super) check: u32,
    /// The sum of what it said ([`Record::content`]). `None` if it could not be read any more: nothing says the same then.
    pub(super) content: Option<u64>,
}

impl Gone {
    pub(super) fn of(record: &Record) -> Gone {
        Gone { sequence: record.sequence(), check: record.check(), content: Some(record.content()) }
    }

    /// The answer to `update`, which has a name of the record; `None` if it says something else.
    ///
    /// The record's file, if it announced one, is gone with it, and is not in the answer.
    pub(super) fn again(&self, epoch: Epoch, update: &Update) -> Option<Receipt> {
        if self.content != Some(content(update)) {
            return None;
        }
        let position = Position { sequence: self.sequence, check: self.check };
        let id = match update.event().id() {
            Some(id) => RecordId::Publisher(id.clone()),
            None => RecordId::Hub(HubId { epoch, position }),
        };
        Some(Receipt { id, sequence: self.sequence, repeated: true, attachment: None })
    }
}

/// The update that has a name.
#[derive(Debug, Clone)]
pub(super) enum Named {
    /// Its record is kept, at this sequence.
    Kept(u64),
    /// Its record was evicted.
    Gone(Box<Gone>),
}

impl Named {
    pub(super) fn sequence(&self) -> u64 {
        match self {
            Named::Kept(sequence) => *sequence,
            Named::Gone(gone) => gone.sequence,
        }
    }
}

/// The sequences that a name stands for, as far as a selector asks for them: none, one, or too many to say which.
#[derive(Debug, Default)]
pub(super) struct Sole(Option<u64>);

impl Sole {
    /// Adds one; false if there was another one already, and looking on is useless.
    pub(super) fn add(&mut self, sequence: u64) -> bool {
        *self.0.get_or_insert(sequence) == sequence
    }

    pub(super) fn into_sequence(self) -> Option<u64> {
        self.0
    }
}
