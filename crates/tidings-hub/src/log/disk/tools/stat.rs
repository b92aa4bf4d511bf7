//! A summary of a log on disk, in numbers.

use std::{
    fs,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rusqlite::{Connection, OptionalExtension};

use crate::log::{
    Epoch,
    disk::{
        DiskView, ViewError, beside, read::outline::Outline, schema::watermarks::Watermarks,
        write::topic_index,
    },
};

/// How many topics are named.
const TOPICS: usize = 10;

/// A summary of a log on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DiskStat {
    /// The log's life.
    pub epoch: Epoch,
    /// The version of its tables.
    pub version: i32,
    /// How many records are kept.
    pub records: u64,
    /// The first record that is kept, and when it came; `None` in an empty log.
    pub first: Option<(u64, SystemTime)>,
    /// The newest record, and when it came; `None` in an empty log.
    pub newest: Option<(u64, SystemTime)>,
    /// The size of the kept records in bytes, as the limit of a hub counts it.
    pub bytes: u64,
    /// The files, and what they take on the disk.
    pub files: Vec<FileStat>,
    /// How many topics have records.
    pub topics: u64,
    /// Those with the most records, at most ten.
    pub largest_topics: Vec<TopicStat>,
    /// How many topics are closed.
    pub closed_topics: u64,
    /// The last sequence that was evicted; 0 if none was.
    pub evicted: u64,
    /// For how many topics it is known which of their records was evicted last.
    pub evicted_topics: u64,
    /// Up to this sequence, any other topic may have lost records.
    pub evicted_floor: u64,
}

/// A file of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileStat {
    /// Its name in the directory.
    pub name: String,
    /// Its size.
    pub bytes: u64,
}

/// A topic that has records.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TopicStat {
    /// The topic.
    pub topic: String,
    /// How many records are kept of it.
    pub records: u64,
}

impl DiskView {
    /// Counts what the log holds, all of it in one state. Reads the index of topics once.
    ///
    /// # Errors
    /// [`ViewError`] if the database fails, and if it is too damaged to be counted.
    pub fn stat(&self) -> Result<DiskStat, ViewError> {
        let database = self.connection.unchecked_transaction()?;
        let count = |query| database.query_row(query, (), |row| row.get::<_, u64>(0));
        let position = |query| {
            database
                .query_row(query, (), |row| {
                    Ok((row.get(0)?, UNIX_EPOCH + Duration::from_millis(row.get(1)?)))
                })
                .optional()
        };
        let watermarks = Watermarks::read(&database, self.version)?;
        let (topics, largest_topics) = topics(&database, watermarks.listed)?;
        let mut bytes = 0;
        Outline::each_after(&database, 0, |outline| {
            bytes += outline.cost();
            true
        })?;
        Ok(DiskStat {
            epoch: self.epoch,
            version: self.version,
            records: count("SELECT count(*) FROM records")?,
            first: position("SELECT sequence, time FROM records ORDER BY sequence LIMIT 1")?,
            newest: position("SELECT sequence, time FROM records ORDER BY sequence DESC LIMIT 1")?,
            bytes,
            files: self.files(),
            topics,
            largest_topics,
            closed_topics: count("SELECT count(*) FROM closed")?,
            evicted: watermarks.evicted,
            evicted_topics: count("SELECT count(*) FROM evicted")?,
            evicted_floor: watermarks.evicted_floor,
        })
    }

    fn files(&self) -> Vec<FileStat> {
        let files = ["", "-wal", "-shm"].map(|suffix| beside(&self.path, suffix));
        let stat = |path: std::path::PathBuf| {
            let bytes = fs::metadata(&path).ok()?.len();
            let name = path.file_name()?.to_string_lossy().into_owned();
            Some(FileStat { name, bytes })
        };
        files.into_iter().filter_map(stat).collect()
    }
}

/// How many topics have records, and those with the most.
fn topics(database: &Connection, listed: u64) -> rusqlite::Result<(u64, Vec<TopicStat>)> {
    let mut count: u64 = database.query_row(
        "SELECT count(*) FROM (SELECT DISTINCT topic FROM topics WHERE sequence <= ?)",
        [listed],
        |row| row.get(0),
    )?;
    let mut largest = database
        .prepare(
            "SELECT topic, count(*) FROM topics WHERE sequence <= ? \
             GROUP BY topic ORDER BY count(*) DESC, topic LIMIT ?",
        )?
        .query_map((listed, TOPICS as i64), |row| Ok(TopicStat { topic: row.get(0)?, records: row.get(1)? }))?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    // The newest records are not listed yet.
    let mut in_table = database.prepare("SELECT count(*) FROM topics WHERE topic = ? AND sequence <= ?")?;
    for (topic, pending_index) in topic_index::load(database, listed)?.topics() {
        let in_table: u64 = in_table.query_row((topic.as_str(), listed), |row| row.get(0))?;
        count += u64::from(in_table == 0);
        largest.retain(|other| other.topic != topic.as_str());
        largest
            .push(TopicStat { topic: topic.as_str().to_owned(), records: in_table + pending_index as u64 });
        largest.sort_by(|one, other| (other.records, &one.topic).cmp(&(one.records, &other.topic)));
        largest.truncate(TOPICS);
    }
    Ok((count, largest))
}
