//! Reading: bounded pages, each from one state of the database.

use std::{sync::Arc, time::Duration};

use rusqlite::{Connection, OptionalExtension, Row, types::Type};
use tidings_codec::{Event, EventId, EventType};

use super::schema;
use crate::{
    AttachmentId, Interest, Topic, Update,
    log::{Epoch, Page, PageLimit, Place, Record, RecordTime, Retention, merge::Merge, record::cost},
};

/// How many records one page of a pattern looks at.
const MAX_SCANNED: u64 = 10_000;

/// The flags of a record, as bits.
pub(super) const PRIVATE: i64 = 1;
pub(super) const CLOSE: i64 = 2;

/// What earlier versions wrote for any larger reconnection time. Their sum is over one that is not known, so such a record is
/// read without it, and taken at its word; today's bound is a day.
const CLIPPED_RETRY: u64 = i64::MAX as u64;

/// A query of whole records, in the order of columns that `from_row` reads.
macro_rules! records {
    ($rest:literal) => {
        records!("", " FROM records ", $rest)
    };
    ($more_columns:literal, $from:literal, $rest:literal) => {
        concat!(
            "SELECT sequence, time, flags, retry, topics, type, data, publisher_id, sum, attachment",
            $more_columns,
            $from,
            $rest
        )
    };
}
pub(super) use records;

/// The database as somebody may see it.
#[derive(Clone, Copy)]
pub(super) struct Pages<'c> {
    pub(super) connection: &'c Connection,
    pub(super) epoch: Epoch,
    /// What is committed becomes visible to every connection at once, a moment before the log announces it. Whoever saw
    /// such a record and came back with its ID would be told that there is no such place, so nothing after this is shown.
    pub(super) newest: Place,
}

impl Pages<'_> {
    pub(super) fn record(self, sequence: u64) -> rusqlite::Result<Option<Arc<Record>>> {
        if sequence > self.newest.sequence {
            return Ok(None);
        }
        self.connection
            .prepare_cached(records!("WHERE sequence = ?"))?
            .query_row([sequence], |row| from_row(self.epoch, row))
            .optional()
    }

    pub(super) fn find(self, publisher_id: &str) -> rusqlite::Result<Option<u64>> {
        self.sequence("SELECT sequence FROM records WHERE publisher_id = ?", publisher_id)
    }

    pub(super) fn by_key(self, key: &str) -> rusqlite::Result<Option<u64>> {
        self.sequence("SELECT sequence FROM records WHERE key = ?", key)
    }

    pub(super) fn announcing(self, attachment: &AttachmentId) -> rusqlite::Result<Option<Arc<Record>>> {
        let record = self
            .connection
            .prepare_cached(records!("WHERE attachment = ?"))?
            .query_row([attachment.as_str()], |row| from_row(self.epoch, row))
            .optional()?;
        Ok(record.filter(|record| record.sequence() <= self.newest.sequence))
    }

    fn sequence(self, query: &str, text: &str) -> rusqlite::Result<Option<u64>> {
        let sequence =
            self.connection.prepare_cached(query)?.query_row([text], |row| row.get(0)).optional()?;
        Ok(sequence.filter(|sequence| *sequence <= self.newest.sequence))
    }

    pub(super) fn closed(self, topic: &Topic) -> rusqlite::Result<Option<Arc<Record>>> {
        let close = self
            .connection
            .prepare_cached("SELECT topic, sequence, time, reason FROM closed WHERE topic = ?")?
            .query_row([topic.as_str()], |row| close_from_row(self.epoch, row))
            .optional()?;
        Ok(close.filter(|close| close.sequence() <= self.newest.sequence))
    }

    /// `unlisted` has what the table of topics may lack: for each topic of an exact interest, records after `after`.
    pub(super) fn read(
        self,
        after: u64,
        interest: &Interest,
        limit: PageLimit,
        unlisted: &[Vec<u64>],
    ) -> rusqlite::Result<Page> {
        let Pages { connection, epoch, newest } = self;
        let oldest = schema::oldest(connection)?;
        let lost = lost(connection, interest, after)?;
        let mut page = Page { records: Vec::new(), reached: newest, lost, oldest };
        let mut bytes = 0;
        // False when the page is full; what is in it then is all that matches up to its last record.
        let mut take = |record: Arc<Record>| {
            if limit.is_reached(page.records.len(), bytes) {
                page.reached = page.records.last().map_or(newest, |last| last.place());
                return false;
            }
            bytes += record.event().data().len();
            page.records.push(record);
            true
        };

        // Closes that outlived their records stand before all that is kept.
        if after + 1 < oldest {
            let mut statement = connection.prepare_cached(
                "SELECT topic, sequence, time, reason FROM closed WHERE sequence > ? AND sequence < ? ORDER BY sequence",
            )?;
            let mut rows = statement.query([after, oldest])?;
            while let Some(row) = rows.next()? {
                let close = close_from_row(epoch, row)?;
                if interest.matches(close.topics()) && !take(close) {
                    return Ok(page);
                }
            }
        }

        if let (true, [topic]) = (interest.is_exact(), interest.topics()) {
            let mut statement = connection.prepare_cached(records!(
                "",
                " FROM topics CROSS JOIN records USING (sequence) ",
                "WHERE topic = ? AND sequence > ? AND sequence <= ? ORDER BY sequence"
            ))?;
            let mut rows = statement.query((topic.as_str(), after, newest.sequence))?;
            let mut listed = after;
            while let Some(row) = rows.next()? {
                let record = from_row(epoch, row)?;
                listed = record.sequence();
                if !take(record) {
                    return Ok(page);
                }
            }
            let mut statement = connection.prepare_cached(records!("WHERE sequence = ?"))?;
            for sequence in self.behind(listed, unlisted.first().map_or(&[], |unlisted| unlisted)) {
                let mut rows = statement.query([sequence])?;
                let Some(row) = rows.next()? else { continue };
                if !take(from_row(epoch, row)?) {
                    break;
                }
            }
            return Ok(page);
        }

        if interest.is_exact() {
            // One more than fits, to know whether the page is full.
            let most = i64::try_from(limit.records.max(1)).unwrap_or(i64::MAX).saturating_add(1);
            let mut lists = Vec::new();
            for (topic, unlisted) in interest.topics().iter().zip(unlisted) {
                let mut statement = connection.prepare_cached(
                    "SELECT sequence FROM topics WHERE topic = ? AND sequence > ? AND sequence <= ? \
                     ORDER BY sequence LIMIT ?",
                )?;
                let range = (topic.as_str(), after, newest.sequence, most);
                let sequences = statement.query_map(range, |row| row.get::<_, u64>(0))?;
                let mut sequences = sequences.collect::<rusqlite::Result<Vec<_>>>()?;
                sequences.extend(self.behind(sequences.last().copied().unwrap_or(after), unlisted));
                lists.push(sequences.into_iter());
            }
            let mut statement = connection.prepare_cached(records!("WHERE sequence = ?"))?;
            for sequence in Merge::new(lists) {
                let mut rows = statement.query([sequence])?;
                let Some(row) = rows.next()? else { continue };
                if !take(from_row(epoch, row)?) {
                    break;
                }
            }
            return Ok(page);
        }

        let mut statement = connection
            .prepare_cached(records!("WHERE sequence > ? AND sequence <= ? ORDER BY sequence LIMIT ?"))?;
        let mut rows = statement.query([after, newest.sequence, MAX_SCANNED])?;
        let (mut scanned, mut last) = (0, newest);
        while let Some(row) = rows.next()? {
            let record = from_row(epoch, row)?;
            (scanned, last) = (scanned + 1, record.place());
            if interest.matches(record.topics()) && !take(record) {
                return Ok(page);
            }
        }
        if scanned == MAX_SCANNED {
            page.reached = last;
        }
        Ok(page)
    }

    /// What is unlisted of a topic whose table was read up to `listed`. Some may have been evicted meanwhile.
    fn behind(self, listed: u64, unlisted: &[u64]) -> impl Iterator<Item = u64> {
        let shown = listed + 1..=self.newest.sequence;
        unlisted.iter().copied().filter(move |sequence| shown.contains(sequence))
    }
}

/// The last record after `after` that may have been evicted, of those that `interest` asks for.
fn lost(connection: &Connection, interest: &Interest, after: u64) -> rusqlite::Result<Option<u64>> {
    let (last, floor): (u64, u64) = connection
        .prepare_cached("SELECT evicted, evicted_floor FROM log")?
        .query_row((), |row| Ok((row.get(0)?, row.get(1)?)))?;
    if after >= last {
        return Ok(None);
    }
    if interest.is_everything() {
        return Ok(Some(last));
    }
    let mut lost = 0;
    let mut of_topic = connection.prepare_cached("SELECT sequence FROM evicted WHERE topic = ?")?;
    for topic in interest.topics() {
        let mark: Option<u64> = of_topic.query_row([topic.as_str()], |row| row.get(0)).optional()?;
        lost = lost.max(mark.unwrap_or(floor));
    }
    let mut below =
        connection.prepare_cached("SELECT max(sequence) FROM evicted WHERE topic > ? AND topic < ?")?;
    for prefix in interest.prefixes() {
        let mark: Option<u64> = below.query_row((prefix.as_str(), prefix.end()), |row| row.get(0))?;
        lost = lost.max(mark.unwrap_or_default()).max(floor);
    }
    Ok(Some(lost).filter(|lost| *lost > after))
}

/// What has to be known of a record to count and evict it, without reading its data.
#[derive(Debug)]
pub(super) struct Outline {
    pub(super) sequence: u64,
    /// In milliseconds since 1970.
    pub(super) time: u64,
    close: bool,
    pub(super) attachment: Option<AttachmentId>,
    /// Joined by line feeds.
    topics: String,
    cost: u64,
}

impl Outline {
    /// Calls `take` with each record behind `after`, in order, until it answers false.
    pub(super) fn each_after(
        connection: &Connection,
        after: u64,
        mut take: impl FnMut(Outline) -> bool,
    ) -> rusqlite::Result<()> {
        let mut statement = connection.prepare_cached(
            "SELECT sequence, time, flags, topics, octet_length(type) + octet_length(data), \
             ifnull(octet_length(publisher_id), 0), attachment FROM records WHERE sequence > ? ORDER BY sequence",
        )?;
        let mut rows = statement.query([after])?;
        while let Some(row) = rows.next()? {
            let topics: String = row.get(3)?;
            let cost = cost(topics.split('\n').map(str::len), row.get(4)?, row.get(5)?);
            let close = row.get::<_, i64>(2)? & CLOSE != 0;
            let attachment = row.get_ref(6)?.as_str_or_null()?.and_then(AttachmentId::parse);
            let (sequence, time) = (row.get(0)?, row.get(1)?);
            if !take(Outline { sequence, time, close, attachment, topics, cost }) {
                break;
            }
        }
        Ok(())
    }

    pub(super) fn topics(&self) -> impl Iterator<Item = &str> {
        self.topics.split('\n')
    }

    pub(super) fn is_close(&self) -> bool {
        self.close
    }

    /// The same as [`Record::cost`].
    pub(super) fn cost(&self) -> u64 {
        self.cost
    }

    /// The number of the rule that it counts under.
    pub(super) fn rule(&self, retention: &Retention) -> Option<usize> {
        if self.close || retention.rules.is_empty() {
            return None;
        }
        let first = Topic::parse(self.topics().next()?).ok()?;
        retention.rule_of(&first)
    }
}

pub(super) fn from_row(epoch: Epoch, row: &Row<'_>) -> rusqlite::Result<Arc<Record>> {
    let damaged = |column: usize, reason: &str| {
        rusqlite::Error::FromSqlConversionFailure(column, Type::Text, reason.to_owned().into())
    };
    let text = |column| row.get_ref(column)?.as_str().map_err(|error| damaged(column, &error.to_string()));
    let topics: Result<Vec<Topic>, _> = text(4)?.split('\n').map(Topic::parse).collect();
    let topics = topics.map_err(|error| damaged(4, &error.to_string()))?;

    let mut event = Event::new(row.get::<_, String>(6)?);
    let event_type = text(5)?;
    if event_type != event.event_type() {
        let event_type = EventType::parse(event_type).map_err(|error| damaged(5, &error.to_string()))?;
        event = event.with_type(event_type);
    }
    if let Some(id) = row.get::<_, Option<String>>(7)? {
        event = event.with_id(EventId::parse(id).map_err(|error| damaged(7, &error.to_string()))?);
    }
    let retry: Option<u64> = row.get(3)?;
    let clipped = retry == Some(CLIPPED_RETRY);
    if let Some(retry) = retry.filter(|_| !clipped) {
        event = event.with_retry(Duration::from_millis(retry));
    }
    let flags: i64 = row.get(2)?;
    let mut update = Update::stored(topics, event, flags & PRIVATE != 0, flags & CLOSE != 0);
    if let Some(id) = row.get::<_, Option<String>>(9)? {
        let id = AttachmentId::parse(&id).ok_or_else(|| damaged(9, &format!("{id:?} is no attachment")))?;
        update = update.with_attachment(id);
    }
    let time = RecordTime::stored(row.get(1)?);
    let sum = row.get(8)?;
    if clipped {
        return Ok(Arc::new(Record::with_check(epoch, row.get(0)?, time, update, sum)));
    }
    let record = Record::new(epoch, row.get(0)?, time, update);
    // The sum is computed anew from what was read: a record that was damaged on the disk is noticed here.
    match record.check() == sum {
        true => Ok(Arc::new(record)),
        false => {
            Err(damaged(8, &format!("the sum of record {} does not match its content", record.sequence())))
        }
    }
}

pub(super) fn close_from_row(epoch: Epoch, row: &Row<'_>) -> rusqlite::Result<Arc<Record>> {
    let topic = Topic::parse(&row.get::<_, String>(0)?)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(0, Type::Text, error.into()))?;
    let time = RecordTime::stored(row.get(2)?);
    let close = Update::close(topic, row.get::<_, String>(3)?);
    Ok(Arc::new(Record::new(epoch, row.get(1)?, time, close)))
}
