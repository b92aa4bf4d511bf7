//! Reading: bounded pages, each from one state of the database.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Rows, types::Type};

use super::row::{from_row, goes_on, records};
use crate::{
    AttachmentId, Selector, Topic,
    log::{
        Epoch, Page, PageLimit, Position, Record,
        disk::schema::{
            closes::{self, closes},
            tables,
        },
        merge::Merge,
        publisher_names::{Gone, Kind, Named, Sole},
    },
};

/// How many records one page of a pattern looks at.
const MAX_SCANNED: u64 = 10_000;

/// After how many of them a page decides whether it goes on looking, or asks the index: where at least one in [`DENSE`]
/// matches, looking is cheaper.
const FIRST_SCANNED: u64 = 500;
const DENSE: usize = 8;

/// Of how many topics the index is asked for one page of a pattern.
const MAX_TOPICS: usize = 64;

/// The database as somebody may see it.
#[derive(Clone, Copy)]
pub(crate) struct Pages<'c> {
    /// In a transaction, so that all queries of a page see one state.
    pub(crate) connection: &'c Connection,
    /// The log's life, for the IDs of the records.
    pub(crate) epoch: Epoch,
    /// A committed record becomes visible to every connection at once, a moment before the log announces it. A subscriber that saw
    /// such a record and came back with its ID would be told that there is no such position, so nothing after this is shown.
    pub(crate) newest: Position,
}

impl Pages<'_> {
    pub(crate) fn record(self, sequence: u64) -> rusqlite::Result<Option<Arc<Record>>> {
        if sequence > self.newest.sequence {
            return Ok(None);
        }
        self.connection
            .prepare_cached(records!("WHERE sequence = ?"))?
            .query_row([sequence], |row| from_row(self.epoch, row))
            .optional()
    }

    /// The sequence of the one update of `selector` that has this ID, kept or evicted.
    pub(crate) fn find(self, publisher_id: &str, selector: &Selector) -> rusqlite::Result<Option<u64>> {
        let (id, newest, mut sole) = (Kind::Id as u8, self.newest.sequence, Sole::default());
        // The second one ends each look-up, however many topics have the ID.
        let mut add_all = |rows: &mut Rows<'_>| -> rusqlite::Result<bool> {
            while let Some(row) = rows.next()? {
                if !sole.add(row.get(0)?) {
                    return Ok(false);
                }
            }
            Ok(true)
        };
        if selector.is_everything() {
            let query = "SELECT sequence FROM names WHERE kind = ? AND name = ? AND sequence <= ?";
            let mut statement = self.connection.prepare_cached(query)?;
            let is_sole = add_all(&mut statement.query((id, publisher_id, newest))?)?;
            return Ok(sole.into_sequence().filter(|_| is_sole));
        }
        let mut of_topic = self.connection.prepare_cached(
            "SELECT sequence FROM names WHERE kind = ? AND name = ? AND topic = ? AND sequence <= ?",
        )?;
        for topic in selector.topics() {
            if !add_all(&mut of_topic.query((id, publisher_id, topic.as_str(), newest))?)? {
                return Ok(None);
            }
        }
        let mut below = self.connection.prepare_cached(
            "SELECT sequence FROM names WHERE kind = ? AND name = ? AND topic > ? AND topic < ? AND sequence <= ?",
        )?;
        for prefix in selector.prefixes() {
            let rows = (id, publisher_id, prefix.as_str(), prefix.end(), newest);
            if !add_all(&mut below.query(rows)?)? {
                return Ok(None);
            }
        }
        Ok(sole.into_sequence())
    }

    /// The update that has a name in a topic.
    pub(crate) fn named(self, kind: Kind, name: &str, topic: &Topic) -> rusqlite::Result<Option<Named>> {
        self.connection
            .prepare_cached(
                "SELECT sequence, gone, sum, content FROM names WHERE kind = ? AND name = ? AND topic = ?",
            )?
            .query_row((kind as u8, name, topic.as_str()), |row| {
                let sequence = row.get(0)?;
                Ok(match row.get::<_, Option<u64>>(1)? {
                    None => Named::Kept(sequence),
                    Some(_) => {
                        let check = row.get::<_, Option<u32>>(2)?.unwrap_or_default();
                        let content = row.get::<_, Option<i64>>(3)?.map(|content| content as u64);
                        Named::Gone(Box::new(Gone { sequence, check, content }))
                    }
                })
            })
            .optional()
    }

    pub(crate) fn announcing(self, attachment: &AttachmentId) -> rusqlite::Result<Option<Arc<Record>>> {
        let record = self
            .connection
            .prepare_cached(records!("WHERE attachment = ?"))?
            .query_row([attachment.as_str()], |row| from_row(self.epoch, row))
            .optional()?;
        Ok(record.filter(|record| record.sequence() <= self.newest.sequence))
    }

    pub(crate) fn closed(self, topic: &Topic) -> rusqlite::Result<Option<Arc<Record>>> {
        let close = self
            .connection
            .prepare_cached(closes!("WHERE topic = ?"))?
            .query_row([topic.as_str()], |row| closes::from_row(self.epoch, row))
            .optional()?;
        Ok(close.filter(|close| close.sequence() <= self.newest.sequence))
    }

    /// The records after `after` for a selector without prefixes.
    ///
    /// `unlisted` has what the table of topics may lack: for each topic of an exact selector, records after `after`.
    pub(crate) fn read(
        self,
        after: u64,
        selector: &Selector,
        limit: PageLimit,
        pending_index: &[Vec<u64>],
    ) -> rusqlite::Result<Page> {
        let Pages { connection, epoch, newest } = self;
        let mut page = Filling::new(self, after, selector, limit)?;
        if self.take_closes(after, selector, &mut page)? {
            return page.done();
        }
        if selector.is_everything() {
            let mut statement = connection
                .prepare_cached(records!("WHERE sequence > ? AND sequence <= ? ORDER BY sequence"))?;
            let mut rows = statement.query([after, newest.sequence])?;
            while let Some(row) = rows.next()? {
                if !page.take(from_row(epoch, row)?)? {
                    break;
                }
            }
            return page.done();
        }

        if let [topic] = selector.topics() {
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
                if !page.take(record)? {
                    return page.done();
                }
            }
            let pending_index = pending_index.first().map_or(&[][..], |pending_index| pending_index);
            self.take_each(self.unlisted_after(listed, pending_index), &mut page)?;
            return page.done();
        }

        let mut lists = Vec::new();
        for (topic, pending_index) in selector.topics().iter().zip(pending_index) {
            let mut sequences = self.listed(topic.as_str(), after, newest.sequence, limit)?;
            sequences.extend(self.unlisted_after(sequences.last().copied().unwrap_or(after), pending_index));
            lists.push(sequences.into_iter());
        }
        self.take_each(Merge::new(lists), &mut page)?;
        page.done()
    }

    /// The records after `after` for a selector with prefixes, and the end of the searched part.
    ///
    /// Records that do not match are not decoded. Where few match, as in a history of many other topics, the index says which:
    /// it has all rows of records before `first_unlisted`.
    pub(crate) fn search(
        self,
        after: u64,
        selector: &Selector,
        limit: PageLimit,
        first_unlisted: Option<u64>,
    ) -> rusqlite::Result<Page> {
        let newest = self.newest.sequence;
        let mut page = Filling::new(self, after, selector, limit)?;
        if self.take_closes(after, selector, &mut page)? {
            return page.done();
        }
        let mut scanned = self.scan(after, FIRST_SCANNED, selector, &mut page)?;
        let listed = first_unlisted.map_or(newest, |first| newest.min(first - 1));
        if scanned.goes_on && scanned.last < listed && scanned.matching * DENSE < FIRST_SCANNED as usize {
            if let Some(topics) = self.topics_of(selector)? {
                let lists = topics.iter().map(|topic| self.listed(topic, scanned.last, listed, limit));
                let lists = lists.collect::<rusqlite::Result<Vec<_>>>()?;
                if self.take_each(Merge::new(lists.into_iter().map(Vec::into_iter)), &mut page)? {
                    return page.done();
                }
                scanned.last = listed;
                scanned.goes_on = listed < newest;
            }
        }
        if scanned.goes_on {
            scanned = self.scan(scanned.last, MAX_SCANNED - FIRST_SCANNED, selector, &mut page)?;
        }
        if scanned.goes_on {
            page.page.reached = self.readable_place(scanned.last)?;
        }
        page.done()
    }

    /// Takes what matches of the `count` records after `after`. Data is read of those that match alone.
    fn scan(
        self,
        after: u64,
        count: u64,
        selector: &Selector,
        page: &mut Filling<'_>,
    ) -> rusqlite::Result<Scanned> {
        let mut statement = self.connection.prepare_cached(
            "SELECT sequence, topics FROM records WHERE sequence > ? AND sequence <= ? ORDER BY sequence LIMIT ?",
        )?;
        let mut matching = self.connection.prepare_cached(records!("WHERE sequence = ?"))?;
        let mut rows = statement.query([after, self.newest.sequence, count])?;
        let mut scanned = Scanned { last: after, matching: 0, goes_on: false };
        let mut looked_at = 0;
        while let Some(row) = rows.next()? {
            let sequence = row.get(0)?;
            goes_on(scanned.last, sequence)?;
            if row.get_ref(1)?.as_str()?.split('\n').any(|topic| selector.matches_text(topic)) {
                scanned.matching += 1;
                let record = matching.query_row([sequence], |row| from_row(self.epoch, row))?;
                if !page.take(record)? {
                    return Ok(scanned);
                }
            }
            scanned.last = sequence;
            looked_at += 1;
        }
        scanned.goes_on = looked_at == count;
        Ok(scanned)
    }

    /// The topics of records that the table of topics lists, of those that `selector` asks for; `None` if they are many.
    fn topics_of(self, selector: &Selector) -> rusqlite::Result<Option<Vec<String>>> {
        let mut topics: Vec<_> = selector.topics().iter().map(|topic| topic.as_str().to_owned()).collect();
        // One look for each topic, however many records it has.
        let mut next = self.connection.prepare_cached(
            "SELECT topic FROM topics WHERE topic > ? AND topic < ? ORDER BY topic LIMIT 1",
        )?;
        for prefix in selector.prefixes() {
            let (mut last, end) = (prefix.as_str().to_owned(), prefix.end());
            while topics.len() <= MAX_TOPICS {
                let topic: Option<String> = next.query_row((&last, &end), |row| row.get(0)).optional()?;
                let Some(topic) = topic else { break };
                topics.push(topic.clone());
                last = topic;
            }
        }
        Ok((topics.len() <= MAX_TOPICS).then_some(topics))
    }

    /// The records of a topic after `after` and up to `last` that the table of topics lists, as many as a page may need.
    fn listed(self, topic: &str, after: u64, last: u64, limit: PageLimit) -> rusqlite::Result<Vec<u64>> {
        // One more than fits, to know whether the page is full.
        let most = i64::try_from(limit.records.max(1)).unwrap_or(i64::MAX).saturating_add(1);
        let mut statement = self.connection.prepare_cached(
            "SELECT sequence FROM topics WHERE topic = ? AND sequence > ? AND sequence <= ? ORDER BY sequence LIMIT ?",
        )?;
        statement.query_map((topic, after, last, most), |row| row.get(0))?.collect()
    }

    /// Takes records by their sequences; says whether the page is full. Some may have been evicted meanwhile.
    fn take_each(
        self,
        sequences: impl Iterator<Item = u64>,
        page: &mut Filling<'_>,
    ) -> rusqlite::Result<bool> {
        let mut statement = self.connection.prepare_cached(records!("WHERE sequence = ?"))?;
        for sequence in sequences {
            let mut rows = statement.query([sequence])?;
            let Some(row) = rows.next()? else { continue };
            if !page.take(from_row(self.epoch, row)?)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Takes closes that outlived their records, which stand before all that is kept; says whether the page is full.
    fn take_closes(self, after: u64, selector: &Selector, page: &mut Filling<'_>) -> rusqlite::Result<bool> {
        let oldest = page.page.oldest;
        let mut failed = None;
        let take = |close| {
            page.take(close).unwrap_or_else(|error| {
                failed = Some(error);
                false
            })
        };
        let all = closes::each_between(self.connection, self.epoch, (after, oldest), oldest, selector, take)?;
        match failed {
            Some(error) => Err(error),
            None => Ok(!all),
        }
    }

    /// The position of a record that was looked at, or of one shortly before it. The record there must be readable, because a
    /// client that comes back with this position is known by it.
    fn readable_place(self, last: u64) -> rusqlite::Result<Position> {
        let mut before = self.connection.prepare_cached(
            "SELECT sequence, sum FROM records WHERE sequence <= ? ORDER BY sequence DESC LIMIT 100",
        )?;
        let mut rows = before.query([last])?;
        let mut position = None;
        while let Some(row) = rows.next()? {
            let (sequence, check) = (row.get(0)?, row.get(1)?);
            position = position.or(Some(Position { sequence, check }));
            if let Ok(Some(record)) = self.record(sequence) {
                return Ok(record.position());
            }
        }
        Ok(position.unwrap_or(self.newest))
    }

    /// The unlisted records of a topic whose table was read up to `listed`. Some may have been evicted meanwhile.
    fn unlisted_after(self, listed: u64, pending_index: &[u64]) -> impl Iterator<Item = u64> {
        let visible = listed + 1..=self.newest.sequence;
        pending_index.iter().copied().filter(move |sequence| visible.contains(sequence))
    }
}

/// A page that is being filled.
struct Filling<'a> {
    pages: Pages<'a>,
    after: u64,
    selector: &'a Selector,
    /// The last record that was evicted.
    evicted: u64,
    page: Page,
    limit: PageLimit,
    bytes: usize,
}

impl<'a> Filling<'a> {
    fn new(
        pages: Pages<'a>,
        after: u64,
        selector: &'a Selector,
        limit: PageLimit,
    ) -> rusqlite::Result<Filling<'a>> {
        let oldest = tables::oldest(pages.connection)?;
        let (evicted, floor) = pages
            .connection
            .prepare_cached("SELECT evicted, evicted_floor FROM log")?
            .query_row((), |row| Ok((row.get(0)?, row.get(1)?)))?;
        let lost = lost(pages.connection, selector, after, evicted, floor)?;
        let page = Page { records: Vec::new(), reached: pages.newest, lost, oldest };
        Ok(Filling { pages, after, selector, evicted, page, limit, bytes: 0 })
    }

    /// False when the page is full. It then has all matching records up to its last one.
    ///
    /// A damaged index may name a record of another topic, which is whole, and which nobody asked for.
    fn take(&mut self, record: Arc<Record>) -> rusqlite::Result<bool> {
        if !self.selector.matches(record.topics()) {
            let reason =
                format!("an index names record {} for a topic that it does not have", record.sequence());
            return Err(rusqlite::Error::FromSqlConversionFailure(0, Type::Integer, reason.into()));
        }
        let records = &mut self.page.records;
        if self.limit.is_reached(records.len(), self.bytes) {
            self.page.reached = records.last().map_or(self.page.reached, |last| last.position());
            return Ok(false);
        }
        self.bytes += record.event().data().len();
        records.push(record);
        Ok(true)
    }

    /// The page, with the closes that have lost their records from between others.
    ///
    /// There are none, unless a damaged record could not be evicted: things that are evicted with the whole log, such
    /// as closes, are evicted in order.
    fn done(mut self) -> rusqlite::Result<Page> {
        let Pages { connection, epoch, .. } = self.pages;
        let oldest = self.page.oldest;
        let after = self.after.max(oldest.saturating_sub(1));
        let before = self.evicted.min(self.page.reached.sequence).saturating_add(1);
        let (mut closes, most) = (Vec::new(), self.limit.records.max(1));
        // One more than fits, to know whether the page is full.
        closes::each_between(connection, epoch, (after, before), oldest, self.selector, |close| {
            closes.push(close);
            closes.len() <= most
        })?;
        if closes.is_empty() {
            return Ok(self.page);
        }
        let mut records = std::mem::take(&mut self.page.records);
        records.extend(closes);
        records.sort_by_key(|record| record.sequence());
        self.bytes = 0;
        for record in records {
            if !self.take(record)? {
                break;
            }
        }
        Ok(self.page)
    }
}

/// How far records were looked at.
struct Scanned {
    last: u64,
    /// How many matched.
    matching: usize,
    /// Whether there may be more after them, and the page takes more.
    goes_on: bool,
}

/// The last record after `after` that may have been evicted, of those that `selector` asks for; `last` was the last of all, and
/// `floor` is the mark of topics that have none of their own.
fn lost(
    connection: &Connection,
    selector: &Selector,
    after: u64,
    last: u64,
    floor: u64,
) -> rusqlite::Result<Option<u64>> {
    if after >= last {
        return Ok(None);
    }
    if selector.is_everything() {
        return Ok(Some(last));
    }
    let mut lost = 0;
    let mut of_topic = connection.prepare_cached("SELECT sequence FROM evicted WHERE topic = ?")?;
    for topic in selector.topics() {
        let mark: Option<u64> = of_topic.query_row([topic.as_str()], |row| row.get(0)).optional()?;
        lost = lost.max(mark.unwrap_or(floor));
    }
    let mut below =
        connection.prepare_cached("SELECT max(sequence) FROM evicted WHERE topic > ? AND topic < ?")?;
    for prefix in selector.prefixes() {
        let mark: Option<u64> = below.query_row((prefix.as_str(), prefix.end()), |row| row.get(0))?;
        lost = lost.max(mark.unwrap_or_default()).max(floor);
    }
    Ok(Some(lost).filter(|lost| *lost > after))
}
