//! A record without its data, to be counted and evicted.

use rusqlite::Connection;

use super::row::CLOSE;
use crate::{
    AttachmentId, Topic,
    log::{IdempotencyKey, publisher_names::Kind, record::cost, retention_rules::Rules},
};

/// A record without its data: all that counting and evicting need to know.
#[derive(Debug)]
pub(crate) struct Outline {
    /// Which record it is.
    pub(crate) sequence: u64,
    /// In milliseconds since 1970.
    pub(crate) time: u64,
    close: bool,
    /// The file that goes with the record.
    pub(crate) attachment: Option<AttachmentId>,
    /// Joined by line feeds.
    topics: String,
    publisher_id: Option<String>,
    key: Option<IdempotencyKey>,
    cost: u64,
}

impl Outline {
    /// Calls `take` with each record after `after`, in order, until it answers false.
    pub(crate) fn each_after(
        connection: &Connection,
        after: u64,
        mut take: impl FnMut(Outline) -> bool,
    ) -> rusqlite::Result<()> {
        let mut statement = connection.prepare_cached(
            "SELECT sequence, time, flags, topics, octet_length(type) + octet_length(data), \
             publisher_id, attachment, key FROM records WHERE sequence > ? ORDER BY sequence",
        )?;
        let mut rows = statement.query([after])?;
        while let Some(row) = rows.next()? {
            let topics: String = row.get(3)?;
            // Damaged names must not keep a record from going.
            let name =
                |column| Ok::<_, rusqlite::Error>(row.get_ref(column)?.as_str_or_null().ok().flatten());
            let publisher_id = name(5)?.map(str::to_owned);
            let key = name(7)?.and_then(|key| IdempotencyKey::stored(key).ok());
            let id_bytes = row.get_ref(5)?.as_bytes_or_null()?.map_or(0, <[u8]>::len);
            let cost = cost(topics.split('\n').map(str::len), row.get(4)?, id_bytes);
            let close = row.get::<_, i64>(2)? & CLOSE != 0;
            let attachment = row.get_ref(6)?.as_str_or_null()?.and_then(AttachmentId::parse);
            let (sequence, time) = (row.get(0)?, row.get(1)?);
            if !take(Outline { sequence, time, close, attachment, topics, publisher_id, key, cost }) {
                break;
            }
        }
        Ok(())
    }

    pub(crate) fn topics(&self) -> impl Iterator<Item = &str> {
        self.topics.split('\n')
    }

    /// Whether a publisher gave it an ID or a key.
    pub(crate) fn has_names(&self) -> bool {
        self.publisher_id.is_some() || self.key.is_some()
    }

    /// All names that it may have in the table of names: a key that an earlier version has numbered has two spellings.
    pub(crate) fn names(&self) -> Vec<(Kind, String, &str)> {
        let id = self.publisher_id.iter();
        let ids = id.flat_map(|id| self.topics().map(|topic| (Kind::Id, id.clone(), topic)));
        let former = self.key.as_ref().and_then(IdempotencyKey::formerly_numbered);
        let keys = self.key.iter().chain(&former).zip(self.topics().next().into_iter().cycle());
        ids.chain(keys.map(|(key, topic)| (Kind::Key, key.as_str().to_owned(), topic))).collect()
    }

    pub(crate) fn is_close(&self) -> bool {
        self.close
    }

    /// The same as [`Record::cost`].
    pub(crate) fn cost(&self) -> u64 {
        self.cost
    }

    /// The number of the rule that it counts under.
    pub(crate) fn rule(&self, rules: &Rules) -> Option<usize> {
        if self.close || rules.rules.is_empty() {
            return None;
        }
        let first = Topic::parse(self.topics().next()?).ok()?;
        rules.of(&first)
    }
}
