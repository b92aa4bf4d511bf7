//! A damaged log is refused, or what is wrong with it is found; nothing that was not written is ever read from it.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail")]

mod evicting;
mod finding;
mod new_epoch;
mod pages;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use rusqlite::{Connection, config::DbConfig};
use tempfile::TempDir;
use tidings_hub::{
    Selector, Topic, TopicFilter, Update, UpdateId,
    log::{
        Check, DiskLog, DiskSettings, DiskView, Found, Limits, Log, NewEpoch, OpenError, PageLimit, Part,
        Retention,
    },
};

/// A damage to a database.
type Damage = fn(&Path);

/// As many records as are in the log of these tests, after the eviction of the first ones.
const RECORDS: u64 = 300;
const EVICTED: u64 = 20;

fn data(sequence: u64) -> String {
    format!("record {sequence} {}", "x".repeat(200))
}

/// A log with records, marks of evicted ones, and a closed topic.
async fn fill(directory: &Path) {
    // A log that is full shrinks to a little below its limit.
    let limits = Limits { records: RECORDS + RECORDS / 128, ..Limits::default() };
    let log = DiskLog::open(directory, Retention { limits, ..Retention::on_disk() }).unwrap();
    let newest = RECORDS + EVICTED;
    let update = |sequence| {
        let topic = Topic::parse(&format!("t/{}", sequence % 7)).unwrap();
        let update = match sequence {
            250 => Update::close(Topic::parse("closed").unwrap(), "done"),
            _ => Update::new(topic, data(sequence)),
        };
        match sequence % 10 {
            1 => update.with_id(UpdateId::parse(&format!("id-{sequence}")).unwrap()),
            _ => update,
        }
    };
    log.append((1..=newest).map(|sequence| update(sequence).into()).collect()).await.unwrap();
    assert_eq!((log.bounds().oldest, log.bounds().newest.sequence), (EVICTED + 1, newest));
}

async fn whole_log() -> (TempDir, PathBuf) {
    let directory = TempDir::new().unwrap();
    fill(directory.path()).await;
    let database = directory.path().join("log.sqlite");
    (directory, database)
}

fn sql(database: &Path, change: &str) {
    let connection = Connection::open(database).unwrap();
    connection.execute_batch(change).unwrap();
}

fn change_bytes(database: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(database).unwrap();
    change(&mut bytes);
    fs::write(database, bytes).unwrap();
}

/// Where the data of a record is in the file.
fn offset_of(bytes: &[u8], sequence: u64) -> usize {
    let data = data(sequence);
    let position = bytes.windows(data.len()).position(|window| window == data.as_bytes());
    position.expect("the record is in the file, in one piece")
}

fn open(directory: &Path) -> Result<DiskLog, OpenError> {
    DiskLog::open(directory, DiskSettings::default())
}

fn check(directory: &Path) -> Check {
    DiskView::open(directory).unwrap().check(|_, _| ()).unwrap()
}

/// Everything that can still be read, by sequence, and how many positions cannot.
fn export(log: &Path) -> (BTreeMap<u64, String>, usize) {
    let (mut kept, mut unreadable) = (BTreeMap::new(), 0);
    for found in DiskView::open(log).unwrap().records(Selector::everything(), 0) {
        match found.unwrap() {
            Found::Kept(found) => {
                let earlier = kept.insert(found.record.sequence(), found.record.event().data().to_owned());
                assert_eq!(earlier, None, "each comes once");
            }
            Found::Unreadable(_) => unreadable += 1,
        }
    }
    (kept, unreadable)
}

fn assert_true(kept: &BTreeMap<u64, String>) {
    for (sequence, read) in kept {
        let written = if *sequence == 250 { "done".to_owned() } else { data(*sequence) };
        assert_eq!(*read, written, "record {sequence} is as it was written, or isn't read");
    }
}
