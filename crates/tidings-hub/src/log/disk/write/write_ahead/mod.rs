//! The write-ahead log: copied back into the database by us, and trusted by us, rather than by SQLite.
//!
//! Once a sync has failed, the system may have dropped what was to be written and take it for written all the same: a
//! second sync of it succeeds, and nothing is on the disk. SQLite copies the write-ahead log back after a commit and
//! keeps the errors of that to itself; a write-ahead log that began anew after such a failure would be lost data.

mod file;

use std::{
    cell::Cell,
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
    path::Path,
};

use rusqlite::{Connection, ffi};

pub(super) use self::file::{WriteAheadFile, sync_database};

thread_local! {
    /// How long the write-ahead log was after the last commit of this thread. A log has one thread that writes.
    static WRITTEN: Cell<i32> = const { Cell::new(0) };
}

/// Takes checkpoints over from SQLite.
pub(crate) fn hand_over(connection: &Connection) {
    connection.wal_hook(Some(|_, pages| {
        WRITTEN.set(pages);
        Ok(())
    }));
}

/// How many pages the write-ahead log has, if this thread has written to it since it was last asked.
pub(super) fn written() -> i32 {
    WRITTEN.take()
}

/// Copies what readers allow: how many pages have then been copied, and of how many that are there.
pub(super) fn checkpoint(connection: &Connection) -> rusqlite::Result<(i32, i32)> {
    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", (), |row| Ok((row.get(2)?, row.get(1)?)))
}

/// Writes the write-ahead log that somebody left at `path` once more, as it is, and syncs it.
///
/// The end of it may be in the system's memory alone, as if it were on the disk, when the sync of it has failed. SQLite
/// would build on it, and with it everything after it would be lost, synced or not.
pub(crate) fn make_durable(path: &Path) -> io::Result<()> {
    let mut file = match File::options().read(true).write(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    let (mut piece, mut at) = (vec![0; 1 << 16], 0);
    loop {
        file.seek(SeekFrom::Start(at))?;
        let length = file.read(&mut piece)?;
        if length == 0 {
            return file.sync_all();
        }
        file.seek(SeekFrom::Start(at))?;
        file.write_all(&piece[..length])?;
        at += length as u64;
    }
}

/// The error, if nothing can be written after it: a failed sync, because the written data may then never reach the
/// disk, even after another try; or missing files.
pub(crate) fn final_failure(error: &rusqlite::Error) -> Option<ffi::Error> {
    let last = [ffi::SQLITE_IOERR_FSYNC, ffi::SQLITE_IOERR_DIR_FSYNC, ffi::SQLITE_READONLY_DBMOVED];
    error.sqlite_error().filter(|error| last.contains(&error.extended_code)).copied()
}

/// The files of an open log, to notice that they were deleted: SQLite goes on with them, and the next start finds nothing.
#[derive(Debug)]
pub(super) struct Linked(Vec<File>);

impl Linked {
    /// Opens the files at `paths` once more, to look at them alone.
    pub(super) fn open(paths: &[&Path]) -> io::Result<Linked> {
        paths.iter().map(File::open).collect::<io::Result<_>>().map(Linked)
    }

    /// # Errors
    /// [`ffi::SQLITE_READONLY_DBMOVED`] once one of them has no name any more.
    pub(super) fn check(&self) -> Result<(), ffi::Error> {
        #[cfg(unix)]
        for file in &self.0 {
            use std::os::unix::fs::MetadataExt;
            if file.metadata().is_ok_and(|file| file.nlink() == 0) {
                return Err(ffi::Error::new(ffi::SQLITE_READONLY_DBMOVED));
            }
        }
        Ok(())
    }
}
