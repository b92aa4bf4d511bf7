//! Copying the write-ahead log back into the database, while more is written to it.
//!
//! A thread copies what is there when it is asked to. The writer has meanwhile gone on, and copies the rest itself: only
//! when all of it is copied does the write-ahead log begin anew, and only the writer can see to that.
//!
//! Nothing is copied that is not on the disk as part of the write-ahead log: the database would have half of a commit that is
//! lost with the rest of it.

use std::{
    io,
    path::Path,
    sync::{
        Arc,
        mpsc::{self, Receiver, SyncSender},
    },
    thread::{self, JoinHandle},
};

use rusqlite::{Connection, config::DbConfig};

use super::{group_commit::Disk, write_ahead};

/// How many pages of the write-ahead log call for a copy: 4 MB.
const PAGES: i32 = 1000;

/// How many pages the writer copies itself while publishers wait: 1 MB.
const REST: i32 = 250;

/// With how many pages the writer waits for the thread: the write-ahead log grows no further than the disk is fast.
const MAX_PAGES: i32 = 8 * PAGES;

/// The handle of the copying thread; dropping it waits for the thread.
#[derive(Debug)]
pub(super) struct Checkpoint {
    disk: Arc<Disk>,
    ask: Option<SyncSender<()>>,
    /// How many pages the thread has copied, each time that it was asked.
    done: Receiver<i32>,
    under_way: bool,
    /// How many of the pages that are there have been copied.
    copied: i32,
    /// Whether a reader has kept the writer from copying all.
    lags: bool,
    thread: Option<JoinHandle<()>>,
}

impl Checkpoint {
    pub(super) fn start(database: &Path, disk: Arc<Disk>) -> io::Result<Checkpoint> {
        let copying = Copying {
            reader: open(database).map_err(io::Error::other)?,
            copier: open(database).map_err(io::Error::other)?,
            disk: disk.clone(),
        };
        let ((ask, asked), (tell, done)) = (mpsc::sync_channel(1), mpsc::sync_channel(1));
        let thread = thread::Builder::new().name("tidings-log-copy".into()).spawn(move || {
            while let Ok(()) = asked.recv() {
                // The thread that asked has ended.
                let _ = tell.send(copying.disk.note_copied(copying.copy()));
            }
        })?;
        Ok(Checkpoint {
            disk,
            ask: Some(ask),
            done,
            under_way: false,
            copied: 0,
            lags: false,
            thread: Some(thread),
        })
    }

    /// Copies, or has copied, what there is after a commit of `connection`, if it is enough. `nobody_waits` says that it may
    /// take its time.
    pub(super) fn after_commit(&mut self, connection: &Connection, nobody_waits: bool) {
        let pages = write_ahead::written();
        if pages < PAGES {
            self.copied = 0;
            return;
        }
        if self.under_way {
            match self.done.try_recv() {
                Ok(copied) => self.finished(copied),
                Err(_) if pages < MAX_PAGES => return,
                Err(_) => {}
            }
        }
        if nobody_waits || pages - self.copied <= REST || pages >= MAX_PAGES {
            return self.copy_all(connection);
        }
        self.under_way = self.ask.as_ref().is_some_and(|ask| ask.send(()).is_ok());
    }

    /// Copies what readers allow.
    pub(super) fn copy_all(&mut self, connection: &Connection) {
        if self.under_way {
            let copied = self.done.recv().unwrap_or_default();
            self.finished(copied);
        }
        // Nobody but the writer writes.
        let copied = self.disk.sync_all().and_then(|()| write_ahead::checkpoint(connection));
        self.lags = copied.as_ref().is_ok_and(|(copied, all)| copied < all);
        self.copied = self.disk.note_copied(copied.map(|(copied, _)| copied));
    }

    /// Whether there is more to copy once readers allow it. Until then the file keeps the space of what was evicted.
    pub(super) fn lags(&self) -> bool {
        self.lags
    }

    fn finished(&mut self, copied: i32) {
        (self.under_way, self.copied) = (false, copied);
    }
}

impl Drop for Checkpoint {
    fn drop(&mut self) {
        // Without an asker the thread ends.
        self.ask = None;
        if let Some(thread) = self.thread.take() {
            if thread.join().is_err() {
                tracing::error!("the log's copying thread panicked");
            }
        }
    }
}

/// The state of the thread.
struct Copying {
    /// While it reads, nothing is copied that was written after it began to.
    reader: Connection,
    copier: Connection,
    disk: Arc<Disk>,
}

impl Copying {
    /// Copies what is there, and gives the number of pages.
    fn copy(&self) -> rusqlite::Result<i32> {
        let reading = self.reader.unchecked_transaction()?;
        reading.query_row(READ, (), |_| Ok(()))?;
        self.disk.sync_all()?;
        let (copied, _) = write_ahead::checkpoint(&self.copier)?;
        write_ahead::sync_database(&self.copier)?;
        Ok(copied)
    }
}

/// Reads something: a connection knows what is in the write-ahead log only after it has read.
const READ: &str = "SELECT one FROM log";

fn open(database: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(database)?;
    // The writer copies the rest at the end.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.query_row(READ, (), |_| Ok(()))?;
    Ok(connection)
}
