//! The tables, and what is checked before a database is trusted.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, OptionalExtension, TransactionBehavior, ffi};

use super::{OpenError, pages::Pages};
use crate::log::{Bounds, Epoch, Place};

/// "Tidg": tells `file` and us that this is a log of Tidings.
const APPLICATION_ID: i32 = 0x5469_6467;

/// The version of the tables below.
const VERSION: i32 = 1;

const TABLES: &str = "
    CREATE TABLE log (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        epoch INTEGER NOT NULL,
        evicted INTEGER NOT NULL,
        evicted_floor INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE records (
        sequence INTEGER PRIMARY KEY,
        time INTEGER NOT NULL,
        flags INTEGER NOT NULL,
        retry INTEGER,
        topics TEXT NOT NULL,
        type TEXT NOT NULL,
        data TEXT NOT NULL,
        publisher_id TEXT,
        key TEXT,
        sum INTEGER NOT NULL,
        attachment TEXT
    ) STRICT;
    CREATE UNIQUE INDEX records_by_publisher_id ON records (publisher_id) WHERE publisher_id IS NOT NULL;
    CREATE UNIQUE INDEX records_by_key ON records (key) WHERE key IS NOT NULL;
    CREATE UNIQUE INDEX records_by_attachment ON records (attachment) WHERE attachment IS NOT NULL;
    CREATE TABLE topics (
        topic TEXT NOT NULL,
        sequence INTEGER NOT NULL,
        PRIMARY KEY (topic, sequence)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE closed (
        topic TEXT PRIMARY KEY,
        sequence INTEGER NOT NULL,
        time INTEGER NOT NULL,
        reason TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX closed_by_sequence ON closed (sequence);
    CREATE TABLE evicted (
        topic TEXT PRIMARY KEY,
        sequence INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX evicted_by_sequence ON evicted (sequence);
    CREATE TABLE kept (
        filter TEXT PRIMARY KEY,
        up_to INTEGER NOT NULL,
        swept INTEGER NOT NULL,
        records INTEGER NOT NULL,
        bytes INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
";

/// Opens the database for its one writer, creates the tables of a new one, and checks what is cheap to check.
pub(super) fn open(path: &Path) -> Result<(Connection, Bounds), OpenError> {
    let failed = |source: rusqlite::Error| match source.sqlite_error_code() {
        Some(ffi::ErrorCode::NotADatabase) => {
            OpenError::Foreign { path: path.into(), reason: "is not a SQLite database".into() }
        }
        Some(ffi::ErrorCode::DatabaseCorrupt) => {
            OpenError::Damaged { path: path.into(), reason: source.to_string() }
        }
        _ => OpenError::Database { path: path.into(), source },
    };
    let mut connection = Connection::open(path).map_err(failed)?;
    configure(&connection).map_err(failed)?;

    let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0)).map_err(failed);
    let foreign = |reason: String| Err(OpenError::Foreign { path: path.into(), reason });
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", (), |row| row.get(0)).map_err(failed)?;
    match (pragma("application_id")?, pragma("user_version")?) {
        (0, 0) if tables == 0 => create(&mut connection, path)?,
        (APPLICATION_ID, VERSION) => {}
        (APPLICATION_ID, newer) if newer > VERSION => {
            return foreign(format!("has version {newer}; this program knows versions up to {VERSION}"));
        }
        _ => return foreign("is a database of another program".into()),
    }
    let bounds = bounds(&connection).map_err(failed)?;
    check_newest(&connection, path, &bounds)?;
    Ok((connection, bounds))
}

/// Opens the database for a reader.
pub(super) fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(connection)
}

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(32);
    // Only a new database takes the first; it gives the space of evicted records back in small steps.
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // A commit returns after the write-ahead log is on the disk.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "cache_size", -16_384)?;
    Ok(())
}

fn create(connection: &mut Connection, path: &Path) -> Result<(), OpenError> {
    let epoch = Epoch::random().map_err(OpenError::Random)?;
    let mut create = || {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(TABLES)?;
        transaction.execute("INSERT INTO log VALUES (1, ?, 0, 0)", [epoch.bits()])?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", VERSION)?;
        transaction.commit()
    };
    create().map_err(|source| OpenError::Database { path: path.into(), source })
}

/// What the database holds.
fn bounds(connection: &Connection) -> rusqlite::Result<Bounds> {
    let epoch = connection.query_row("SELECT epoch FROM log", (), |row| row.get(0))?;
    let newest = connection
        .query_row("SELECT sequence, sum FROM records ORDER BY sequence DESC LIMIT 1", (), |row| {
            Ok(Place { sequence: row.get(0)?, check: row.get(1)? })
        })
        .optional()?;
    let newest = newest.unwrap_or(Place::START);
    Ok(Bounds { epoch: Epoch::from_bits(epoch), oldest: oldest(connection)?, newest })
}

/// The first sequence that is kept; 1 in a log without records, since the newest record is never evicted.
pub(super) fn oldest(connection: &Connection) -> rusqlite::Result<u64> {
    let oldest: Option<u64> =
        connection.prepare_cached("SELECT min(sequence) FROM records")?.query_row((), |row| row.get(0))?;
    Ok(oldest.unwrap_or(1))
}

/// The newest records are the ones that a crash could have hurt: their sums are right, and where one is missing it was
/// evicted.
fn check_newest(connection: &Connection, path: &Path, bounds: &Bounds) -> Result<(), OpenError> {
    const RECORDS: u64 = 100;
    let damaged = |reason: String| Err(OpenError::Damaged { path: path.into(), reason });
    let pages = Pages { connection, epoch: bounds.epoch, newest: bounds.newest };
    let first = bounds.oldest.max(bounds.newest.sequence.saturating_sub(RECORDS - 1));
    let evicted: u64 = connection
        .query_row("SELECT evicted FROM log", (), |row| row.get(0))
        .map_err(|source| OpenError::Database { path: path.into(), source })?;
    for sequence in first..=bounds.newest.sequence {
        match pages.record(sequence) {
            Ok(Some(_)) => {}
            Ok(None) if sequence <= evicted => {}
            Ok(None) => return damaged(format!("record {sequence} is missing")),
            Err(error) => return damaged(format!("record {sequence} can't be read: {error}")),
        }
    }
    Ok(())
}
