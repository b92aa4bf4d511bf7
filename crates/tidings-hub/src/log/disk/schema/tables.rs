//! The tables, how a database is begun, and what is checked before one is trusted.

use std::{fs, path::Path};

use rusqlite::{Connection, OpenFlags, OptionalExtension, config::DbConfig, ffi};

use super::{migrate, watermarks::Watermarks};
use crate::{
    log::{
        Bounds, Epoch, Position,
        disk::{OpenError, read::pages::Pages, reason, write::write_ahead},
    },
    owner_only,
};

/// "Tidg": tells `file` and us that this is a log of Tidings.
const APPLICATION_ID: i32 = 0x5469_6467;

/// The version of the tables below: one more for each step that leads from the first.
pub(crate) const VERSION: i32 = 1 + migrate::STEPS.len() as i32;

/// The first version that has the table of names.
pub(crate) const WITH_NAMES: i32 = 3;

const TABLES: &str = "
    CREATE TABLE log (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        epoch INTEGER NOT NULL,
        evicted INTEGER NOT NULL,
        evicted_floor INTEGER NOT NULL,
        listed INTEGER NOT NULL DEFAULT 0
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
    CREATE UNIQUE INDEX records_by_attachment ON records (attachment) WHERE attachment IS NOT NULL;
    CREATE TABLE names (
        kind INTEGER NOT NULL,
        name TEXT NOT NULL,
        topic TEXT NOT NULL,
        sequence INTEGER NOT NULL,
        gone INTEGER,
        sum INTEGER,
        content INTEGER,
        PRIMARY KEY (kind, name, topic)
    ) STRICT, WITHOUT ROWID;
    CREATE UNIQUE INDEX names_by_gone ON names (gone) WHERE gone IS NOT NULL;
    CREATE TABLE topics (
        topic TEXT NOT NULL,
        sequence INTEGER NOT NULL,
        PRIMARY KEY (topic, sequence)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE closed (
        topic TEXT PRIMARY KEY,
        sequence INTEGER NOT NULL,
        time INTEGER NOT NULL,
        reason TEXT NOT NULL,
        flags INTEGER,
        retry INTEGER,
        topics TEXT,
        publisher_id TEXT,
        sum INTEGER
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

/// Opens the database for its one writer. A new one is begun if there is none.
///
/// Nothing is changed before it is trusted: not the tables, and not the write-ahead log, which closing would empty.
pub(crate) fn open(path: &Path) -> Result<(Connection, Bounds), OpenError> {
    if !is_there(path)? {
        create(path)?;
    }
    let failed = |source| OpenError::of(path, source);
    let mut connection = Connection::open(path).map_err(failed)?;
    prepare_once(&connection).map_err(failed)?;
    let keep_wal = |connection: &Connection, keep| {
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, keep).map_err(failed)
    };
    keep_wal(&connection, true)?;
    let version = version(&connection, path)?;
    migrate::migrate(&mut connection, version, migrate::STEPS).map_err(failed)?;
    let bounds = check(&connection, path)?;
    configure(&connection).map_err(failed)?;
    keep_wal(&connection, false)?;
    Ok((connection, bounds))
}

/// Opens the database for a reader.
pub(crate) fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    prepare_once(&connection)?;
    Ok(connection)
}

/// Keeps statements and their plans for all bindings. Otherwise SQLite would plan `LIMIT ?` again for each new binding,
/// which takes longer than reading a few records.
fn prepare_once(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(64);
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map(drop)
}

/// The version of a database's tables, if it is a log of ours that this program knows.
pub(crate) fn version(connection: &Connection, path: &Path) -> Result<i32, OpenError> {
    let failed = |source| OpenError::of(path, source);
    let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0)).map_err(failed);
    let foreign = |reason: String| Err(OpenError::Foreign { path: path.into(), reason });
    match (pragma("application_id")?, pragma("user_version")?) {
        (APPLICATION_ID, version @ 1..=VERSION) => Ok(version),
        (APPLICATION_ID, newer) if newer > VERSION => {
            foreign(format!("has version {newer}; this program knows versions up to {VERSION}"))
        }
        _ => foreign("is a database of another program".into()),
    }
}

/// The contents of the database.
pub(crate) fn bounds(connection: &Connection) -> rusqlite::Result<Bounds> {
    let (epoch, evicted) =
        connection.query_row("SELECT epoch, evicted FROM log", (), |row| Ok((row.get(0)?, row.get(1)?)))?;
    let newest = connection
        .query_row("SELECT sequence, sum FROM records ORDER BY sequence DESC LIMIT 1", (), |row| {
            Ok(Position { sequence: row.get(0)?, check: row.get(1)? })
        })
        .optional()?;
    let newest = newest.unwrap_or(Position::START);
    Ok(Bounds { epoch: Epoch::from_bits(epoch), oldest: oldest(connection)?, evicted, newest })
}

/// The first sequence that is kept; 1 in a log without records, since the newest record is never evicted.
pub(crate) fn oldest(connection: &Connection) -> rusqlite::Result<u64> {
    let oldest: Option<u64> =
        connection.prepare_cached("SELECT min(sequence) FROM records")?.query_row((), |row| row.get(0))?;
    Ok(oldest.unwrap_or(1))
}

/// The tables, columns and indexes above that a database lacks, in words.
pub(crate) fn missing(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    const PARTS: &str = "
        SELECT type || ' ' || name FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%'
        UNION ALL
        SELECT 'column ' || tables.name || '.' || columns.name
        FROM sqlite_schema AS tables, pragma_table_info(tables.name) AS columns WHERE tables.type = 'table'";
    let parts = |connection: &Connection| -> rusqlite::Result<Vec<String>> {
        connection.prepare(PARTS)?.query_map((), |row| row.get(0))?.collect()
    };
    let model = Connection::open_in_memory()?;
    model.execute_batch(TABLES)?;
    let has = parts(connection)?;
    Ok(parts(&model)?.into_iter().filter(|part| !has.contains(part)).collect())
}

/// Whether there is a database. One that lost its content, or its file, is not taken for a new one.
fn is_there(path: &Path) -> Result<bool, OpenError> {
    /// Anything shorter is an empty database to SQLite.
    const SHORTEST: u64 = 512;
    let damaged = |reason: String| Err(OpenError::Damaged { path: path.into(), reason });
    let bytes = |path: &Path| fs::metadata(path).map(|file| file.len());
    match bytes(path) {
        Ok(bytes @ 0..SHORTEST) => damaged(format!("it has {bytes} bytes, too few for any database")),
        Ok(_) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            match bytes(&crate::log::disk::beside(path, "-wal")) {
                Ok(1..) => damaged("it is missing, and its write-ahead log is there".into()),
                _ => Ok(false),
            }
        }
        Err(source) => Err(OpenError::Directory { path: path.into(), source }),
    }
}

/// Begins a database beside its place and moves it there when it is whole, so that a crash leaves all of it or none.
fn create(path: &Path) -> Result<(), OpenError> {
    let epoch = Epoch::random().map_err(OpenError::no_randomness)?;
    let unfinished = crate::log::disk::beside(path, ".new");
    let write = || {
        // Its companions get the mode that it has.
        let connection = Connection::open(&unfinished)?;
        // It gives the space of evicted records back in small steps; only a new database takes it.
        connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
        // Nothing may be left beside a file that a crash leaves unfinished.
        connection.pragma_update(None, "journal_mode", "MEMORY")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.execute_batch("BEGIN")?;
        connection.execute_batch(TABLES)?;
        connection.execute("INSERT INTO log VALUES (1, ?, 0, 0, 0)", [epoch.bits()])?;
        connection.pragma_update(None, "application_id", APPLICATION_ID)?;
        connection.pragma_update(None, "user_version", VERSION)?;
        connection.execute_batch("COMMIT")?;
        connection.close().map_err(|(_, error)| error)
    };
    let in_directory = |source| OpenError::Directory { path: path.into(), source };
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(in_directory(error)),
        _ => {}
    }
    owner_only::file().write(true).create_new(true).open(&unfinished).map_err(in_directory)?;
    write().map_err(|error| OpenError::Database { path: path.into(), source: error.into() })?;
    fs::rename(&unfinished, path).map_err(in_directory)?;
    crate::log::disk::sync_directory_of(path).map_err(in_directory)
}

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    // It answers with the mode before the mode is on the disk: an error comes after that row. And where there cannot be a
    // write-ahead log, the answer is the mode that stays.
    let mut statement = connection.prepare("PRAGMA journal_mode = WAL")?;
    let modes: Vec<String> = statement.query_map((), |row| row.get(0))?.collect::<Result<_, _>>()?;
    if modes != ["wal"] {
        let reason = format!("there cannot be a write-ahead log: the journal mode stays {modes:?}");
        return Err(rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_IOERR), Some(reason)));
    }
    // A commit returns after the write-ahead log is on the disk, until the writer sees to that itself.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "cache_size", -16_384)?;
    write_ahead::hand_over(connection);
    Ok(())
}

/// The cheap checks, whose cost does not depend on the size of the log: the tables, the watermarks, and the newest
/// records.
fn check(connection: &Connection, path: &Path) -> Result<Bounds, OpenError> {
    let failed = |source| OpenError::of(path, source);
    let damaged = |reason: String| Err(OpenError::Damaged { path: path.into(), reason });
    if let [first, ..] = &*missing(connection).map_err(failed)? {
        return damaged(format!("{first} is missing"));
    }
    let bounds = bounds(connection).map_err(failed)?;
    let watermarks = Watermarks::read(connection, VERSION).map_err(failed)?;
    if let [first, ..] = &*watermarks.contradictions(&bounds) {
        return damaged(first.clone());
    }
    check_newest(connection, path, &bounds, &watermarks)?;
    Ok(bounds)
}

/// The newest records are the ones that a crash could have hurt: their sums are right, and where one is missing it was
/// evicted.
fn check_newest(
    connection: &Connection,
    path: &Path,
    bounds: &Bounds,
    watermarks: &Watermarks,
) -> Result<(), OpenError> {
    const RECORDS: u64 = 100;
    let damaged = |reason: String| Err(OpenError::Damaged { path: path.into(), reason });
    let pages = Pages { connection, epoch: bounds.epoch, newest: bounds.newest };
    let first = bounds.oldest.max(bounds.newest.sequence.saturating_sub(RECORDS - 1));
    for sequence in first..=bounds.newest.sequence {
        match pages.record(sequence) {
            Ok(Some(_)) => {}
            Ok(None) if watermarks.explain_that_it_is_gone(sequence) => {}
            Ok(None) => return damaged(format!("record {sequence} is missing")),
            Err(error) => return damaged(format!("record {sequence} cannot be read: {}", reason(&error))),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use rusqlite::StatementStatus;

    use super::*;

    #[test]
    fn a_statement_is_planned_once_whatever_is_bound_to_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log.sqlite");
        let (writer, _) = open(&path).unwrap();
        let reader = open_reader(&path).unwrap();
        for connection in [&writer, &reader] {
            let mut statement = connection
                .prepare("SELECT * FROM records WHERE sequence > ? ORDER BY sequence LIMIT ?")
                .unwrap();
            for number in 1..4_u64 {
                assert!(!statement.exists((number, number)).unwrap());
            }
            assert_eq!(statement.get_status(StatementStatus::RePrepare), 0);
        }
    }
}
