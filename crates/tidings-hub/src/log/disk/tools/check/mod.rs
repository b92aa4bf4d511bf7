//! Everything that can be wrong with a log on disk, looked for.

mod files;

use rusqlite::Connection;

use self::files::Files;
use super::scan::is_damage;
use crate::{
    Selector,
    log::{
        Bounds,
        disk::{
            DiskView, Found, Kept, Records, ViewError,
            schema::{tables, watermarks::Watermarks},
            write::state,
        },
        publisher_names::names_of,
    },
};

/// How many findings are described; more are only counted.
const DESCRIBED: usize = 100;

/// After how many records progress is told.
const PROGRESS: u64 = 1000;

/// The result of a check of a log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Check {
    /// How many records are as they were written.
    pub records: u64,
    /// The findings, at most a hundred.
    pub findings: Vec<Finding>,
    /// How much more is wrong.
    pub more: u64,
}

/// One thing that is wrong with a log.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// Where it is.
    pub part: Part,
    /// The finding, in words.
    pub what: String,
}

/// A part of a log on disk. They differ by what to do about damage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Part {
    /// The database itself: its pages, tables and indexes.
    Database,
    /// The records: their content, and that none is missing.
    Records,
    /// The tables of topics: the records of each topic, the closed topics, and the topics that have lost records.
    Topics,
    /// How many bytes are kept, as a limit counts them.
    Size,
    /// The files that records announce.
    Attachments,
}

impl Check {
    /// Whether nothing is wrong.
    pub fn is_whole(&self) -> bool {
        self.findings.is_empty()
    }

    fn found(&mut self, part: Part, what: impl Into<String>) {
        if self.findings.len() < DESCRIBED {
            self.findings.push(Finding { part, what: what.into() });
        } else {
            self.more += 1;
        }
    }
}

impl DiskView {
    /// Checks everything: each page, each record and the file that it announces, and whether the tables agree with them.
    ///
    /// All is looked at in one state of the log, so while it runs, what a hub writes stays in the write-ahead log.
    /// `progress` is told how many records of how many are done.
    ///
    /// # Errors
    /// [`ViewError`] if the database fails in a way that is not damage.
    pub fn check(&self, mut progress: impl FnMut(u64, u64)) -> Result<Check, ViewError> {
        let database = self.connection.unchecked_transaction()?;
        let mut check = Check::default();
        sqlite(&database, &mut check)?;
        // An older version's lacks what came later.
        if self.version == tables::VERSION {
            for missing in tables::missing(&database).or_else(damaged(&mut check, "the list of tables"))? {
                check.found(Part::Database, format!("{missing} is missing"));
            }
        }
        let watermarks =
            Watermarks::read(&database, self.version).map(Some).or_else(damaged(&mut check, "the marks"))?;
        let bounds = tables::bounds(&database).map(Some).or_else(damaged(&mut check, "the bounds"))?;
        if let (Some(watermarks), Some(bounds)) = (&watermarks, &bounds) {
            for contradiction in watermarks.contradictions(bounds) {
                check.found(Part::Topics, contradiction);
            }
        }
        let checking = Checking { view: self, files: Files::beside(&self.path), watermarks, check };
        let mut check = checking.records(bounds, &mut progress)?;
        topics(&database, &mut check).or_else(damaged(&mut check, "the tables of topics"))?;
        if self.version >= tables::WITH_NAMES {
            names(&database, &mut check).or_else(damaged(&mut check, "the table of names"))?;
        }
        Ok(check)
    }
}

/// Notes an error as damage and goes on with nothing, if it is damage.
fn damaged<T: Default>(
    check: &mut Check,
    what: &str,
) -> impl FnOnce(rusqlite::Error) -> Result<T, ViewError> {
    move |error| {
        if !is_damage(&error) {
            return Err(error.into());
        }
        check.found(Part::Database, format!("{what} cannot be read: {error}"));
        Ok(T::default())
    }
}

/// SQLite's own check: each page, the order of each tree, and that indexes have what their tables have.
fn sqlite(database: &Connection, check: &mut Check) -> Result<(), ViewError> {
    let found =
        database.prepare(&format!("PRAGMA integrity_check({DESCRIBED})")).and_then(|mut statement| {
            statement.query_map((), |row| row.get::<_, String>(0))?.collect::<rusqlite::Result<Vec<_>>>()
        });
    let found = found.or_else(damaged(check, "the database"))?;
    for what in found.iter().flat_map(|text| text.lines()).filter(|line| *line != "ok") {
        check.found(Part::Database, what);
    }
    Ok(())
}

/// The walk through all records.
struct Checking<'v> {
    view: &'v DiskView,
    files: Files,
    watermarks: Option<Watermarks>,
    check: Check,
}

impl Checking<'_> {
    fn records(
        mut self,
        bounds: Option<Bounds>,
        progress: &mut impl FnMut(u64, u64),
    ) -> Result<Check, ViewError> {
        let newest = self.view.newest();
        let oldest = bounds.map_or(1, |bounds| bounds.oldest);
        let total = (newest + 1).saturating_sub(oldest);
        let mut records = Records::new(
            &self.view.connection,
            self.view.version,
            self.view.epoch,
            Selector::everything(),
            oldest.saturating_sub(1),
            newest,
        );
        let noted = state::noted(&self.view.connection).or_else(damaged(&mut self.check, "the totals"))?;
        let (mut expected, mut bytes, mut rows, mut unreadable) = (oldest, 0, 0, 0_u64);
        let mut told = 0;
        for found in &mut records {
            let found = found?;
            let first = found.sequence();
            if matches!(&found, Found::Kept(kept) if kept.is_tombstone) {
                continue;
            }
            self.hole(expected, first);
            match found {
                Found::Kept(kept) => {
                    self.check.records += 1;
                    if noted.is_some_and(|(up_to, _)| first <= up_to) {
                        bytes += kept.record.cost();
                    }
                    rows += kept.record.topics().len() as u64;
                    self.record(&kept)?;
                    self.file(&kept);
                    expected = first + 1;
                }
                Found::Unreadable(damage) => {
                    unreadable += 1;
                    self.check.found(Part::Records, damage.to_string());
                    expected = damage.sequences.end().saturating_add(1);
                }
            }
            // Of a damaged log what comes first is not always the oldest.
            let done = expected.saturating_sub(oldest);
            if done >= told + PROGRESS {
                told = done;
                progress(told.min(total), total);
            }
        }
        progress(total, total);
        // Records that cannot be read cannot be counted.
        if unreadable == 0 {
            self.totals(noted, bytes, rows)?;
        }
        Ok(self.check)
    }

    /// Notes the records from `expected` up to `next` that are gone without having been evicted.
    fn hole(&mut self, expected: u64, next: u64) {
        let Some(watermarks) = self.watermarks else { return };
        // A damaged log can have a hole of any size: it is not walked through.
        let first = expected.max(watermarks.first_unexplained());
        if first >= next {
            return;
        }
        let last = next - 1;
        self.check.found(
            Part::Records,
            match first == last {
                true => format!("record {first} is missing, and was not evicted"),
                false => format!("the records {first} to {last} are missing, and were not evicted"),
            },
        );
    }

    /// Whether the tables of topics and closes have this record.
    fn record(&mut self, kept: &Kept) -> Result<(), ViewError> {
        let (database, record) = (&self.view.connection, &kept.record);
        let sequence = record.sequence();
        let listed = self.watermarks.is_some_and(|watermarks| sequence <= watermarks.listed);
        self.names(kept)?;
        for topic in record.topics() {
            let topic = topic.as_str();
            // A table that cannot be read is told of once, at its end.
            let is_right = match listed {
                true => "SELECT EXISTS (SELECT 1 FROM topics WHERE topic = ? AND sequence = ?)",
                false => "SELECT NOT EXISTS (SELECT 1 FROM closed WHERE topic = ? AND sequence < ?)",
            };
            let is_right = database
                .prepare_cached(is_right)
                .and_then(|mut is_right| is_right.query_row((topic, sequence), |row| row.get::<_, bool>(0)));
            if !is_right.or_else(unreadable)? {
                let what = match listed {
                    true => format!("topic {topic:?} does not list its record {sequence}"),
                    false => format!("topic {topic:?} has record {sequence} after the one that closed it"),
                };
                self.check.found(Part::Topics, what);
            }
            if !record.is_close() {
                continue;
            }
            let says = "SELECT EXISTS (SELECT 1 FROM closed WHERE topic = ? AND sequence = ? AND reason = ?)";
            let says = database.prepare_cached(says).and_then(|mut says| {
                says.query_row((topic, sequence, record.event().data()), |row| row.get::<_, bool>(0))
            });
            if !says.or_else(unreadable)? {
                let what =
                    format!("topic {topic:?} was closed by record {sequence}, and is not listed as closed");
                self.check.found(Part::Topics, what);
            }
        }
        Ok(())
    }

    /// Whether the table of names has those of this record.
    fn names(&mut self, kept: &Kept) -> Result<(), ViewError> {
        if self.view.version < tables::WITH_NAMES {
            return Ok(());
        }
        let record = &kept.record;
        for (kind, name, topic) in names_of(record.topics(), record.publisher_id(), kept.key.as_ref()) {
            let is_there = "SELECT EXISTS (SELECT 1 FROM names
                WHERE kind = ? AND name = ? AND topic = ? AND sequence = ? AND gone IS NULL)";
            let is_there = self.view.connection.prepare_cached(is_there).and_then(|mut is_there| {
                is_there.query_row((kind as u8, name, topic.as_str(), record.sequence()), |row| row.get(0))
            });
            if !is_there.or_else(unreadable)? {
                let what = format!(
                    "{kind} {name:?} of topic {:?} does not name its record {}",
                    topic.as_str(),
                    record.sequence()
                );
                self.check.found(Part::Topics, what);
            }
        }
        Ok(())
    }

    /// Whether the file that this record announces is there.
    fn file(&mut self, kept: &Kept) {
        let is_kept = || {
            // Of the log as it is now: all else is read from one state of it.
            let now = tables::open_reader(&self.view.path).and_then(|now| {
                let is_kept = "SELECT EXISTS (SELECT 1 FROM records WHERE sequence = ?)";
                now.query_row(is_kept, [kept.record.sequence()], |row| row.get(0))
            });
            now.unwrap_or(true)
        };
        if let Some(what) = self.files.check(&kept.record, is_kept) {
            self.check.found(Part::Attachments, what);
        }
    }

    /// Compares with the totals that the log has noted now and then: up to where, and how many bytes that were.
    fn totals(&mut self, noted: Option<(u64, u64)>, bytes: u64, rows: u64) -> Result<(), ViewError> {
        if let Some((up_to, says)) = noted.filter(|(_, says)| *says != bytes) {
            let what = format!("the records up to {up_to} take {bytes} bytes, and the log says {says}");
            self.check.found(Part::Size, what);
        }
        let listed = self.view.connection.query_row("SELECT count(*) FROM topics", (), |row| row.get(0));
        let listed: u64 = listed.or_else(unreadable_as(rows))?;
        if listed > rows {
            self.check.found(Part::Topics, format!("topics list {listed} records, and there are {rows}"));
        }
        Ok(())
    }
}

fn unreadable(error: rusqlite::Error) -> Result<bool, ViewError> {
    unreadable_as(true)(error)
}

fn unreadable_as<T>(instead: T) -> impl FnOnce(rusqlite::Error) -> Result<T, ViewError> {
    move |error| if is_damage(&error) { Ok(instead) } else { Err(error.into()) }
}

/// Rows in the tables of topics for records that are missing or different.
fn topics(database: &Connection, check: &mut Check) -> rusqlite::Result<()> {
    let contradictions = [
        (
            "SELECT topic, sequence FROM closed WHERE EXISTS
                 (SELECT 1 FROM records WHERE records.sequence = closed.sequence AND records.flags & 2 = 0)",
            "is listed as closed by a record that closes nothing",
        ),
        (
            "SELECT topic, sequence FROM closed WHERE EXISTS
                 (SELECT 1 FROM topics WHERE topics.topic = closed.topic AND topics.sequence > closed.sequence)",
            "has records after the one that closed it",
        ),
        (
            "SELECT topic, sequence FROM closed
             WHERE sequence > (SELECT evicted FROM log) AND sequence NOT IN (SELECT sequence FROM records)",
            "was closed by a record that is missing, and was not evicted",
        ),
        (
            "SELECT topic, sequence FROM evicted WHERE sequence IN (SELECT sequence FROM records)",
            "has lost a record that is still there",
        ),
        (
            "SELECT topic, sequence FROM topics WHERE sequence NOT IN (SELECT sequence FROM records)",
            "lists a record that is not there",
        ),
    ];
    for (query, what) in contradictions {
        let mut statement = database.prepare(query)?;
        let mut rows = statement.query(())?;
        while let Some(row) = rows.next()? {
            let (topic, sequence): (String, u64) = (row.get(0)?, row.get(1)?);
            check.found(Part::Topics, format!("topic {topic:?} {what}: {sequence}"));
        }
    }
    Ok(())
}

/// Rows in the table of names that contradict the records.
fn names(database: &Connection, check: &mut Check) -> rusqlite::Result<()> {
    let contradictions = [
        (
            "SELECT topic, name, sequence FROM names
             WHERE gone IS NULL AND sequence NOT IN (SELECT sequence FROM records)",
            "names a record that is not there",
        ),
        (
            "SELECT topic, name, sequence FROM names
             WHERE gone IS NOT NULL AND sequence IN (SELECT sequence FROM records)",
            "names a record as gone that is still there",
        ),
    ];
    for (query, what) in contradictions {
        let mut statement = database.prepare(query)?;
        let mut rows = statement.query(())?;
        while let Some(row) = rows.next()? {
            let (topic, name, sequence): (String, String, u64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            check.found(Part::Topics, format!("{name:?} of topic {topic:?} {what}: {sequence}"));
        }
    }
    Ok(())
}
