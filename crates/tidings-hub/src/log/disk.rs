//! The log that keeps its records in a SQLite database, in one directory.
//!
//! One thread writes and commits whatever waits; readers have connections of their own and read bounded pages in short
//! transactions, since a long one would keep the write-ahead log from being reset. `docs/design/log-format.md` describes
//! the tables.

mod pages;
mod schema;
mod writer;

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use fs4::{FileExt, TryLockError};
use rusqlite::Connection;
use tokio::sync::{oneshot, watch};

use self::{
    pages::Pages,
    writer::{Request, Writer},
};
use super::{Append, Appended, Bounds, Log, LogError, LogFuture, Page, PageLimit, Record};
use crate::{Interest, Topic};

/// How much a [`DiskLog`] keeps; the oldest records are evicted when there is more.
///
/// The newest record is always kept: the log goes on from its sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskLimits {
    /// The most records. Default: no limit.
    pub records: u64,
    /// The most bytes, structures included (an estimate: see [`Record::cost`]). Default: 8 GiB.
    pub bytes: u64,
    /// For how many topics it is known when their last record was evicted; the longest gone are forgotten, and count as
    /// gone with the last of those. Default: 65,536.
    pub topics: u64,
}

impl Default for DiskLimits {
    fn default() -> DiskLimits {
        DiskLimits { records: u64::MAX, bytes: 8 << 30, topics: 65_536 }
    }
}

/// A [`Log`] on disk. What it has acknowledged survives the end of the process, and a loss of power.
///
/// Dropping it waits until what is being written is written.
#[derive(Debug)]
pub struct DiskLog {
    /// What readers may see; the writer moves it after each commit.
    bounds: Arc<RwLock<Bounds>>,
    newest: watch::Sender<u64>,
    readers: Arc<Readers>,
    writer: Writer,
    /// Held for as long as the log is open, so that no other process opens it.
    _lock: File,
}

/// Why a [`DiskLog`] can't be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process, or another log of this one, has it open.
    #[error("{path:?} is in use by another process")]
    InUse {
        /// The log's directory.
        path: PathBuf,
    },
    /// The directory can't be created or locked.
    #[error("{path:?} can't be used")]
    Directory {
        /// The log's directory.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// The file is not a log of this program, or was written by a newer version of it.
    #[error("{path:?} {reason}")]
    Foreign {
        /// The database.
        path: PathBuf,
        /// What it is instead.
        reason: String,
    },
    /// What is kept contradicts itself. Nothing was changed.
    #[error("{path:?} is damaged: {reason}")]
    Damaged {
        /// The database.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// SQLite failed.
    #[error("{path:?} can't be opened")]
    Database {
        /// The database.
        path: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// The thread that writes can't be started.
    #[error("the log's thread can't be started")]
    Thread(#[source] io::Error),
    /// The operating system gives no random bytes for a new log's epoch.
    #[error("there is no randomness for a new log: {0}")]
    Random(getrandom::Error),
}

impl DiskLog {
    /// Opens the log in `directory`, or begins one there. The directory is created if it is not there.
    ///
    /// # Errors
    /// [`OpenError`] says what is in the way. Nothing is ever repaired in silence.
    pub fn open(directory: &Path, limits: DiskLimits) -> Result<DiskLog, OpenError> {
        let lock = lock(directory)?;
        let path = directory.join("log.sqlite");
        let (connection, bounds) = schema::open(&path)?;
        let newest = watch::Sender::new(bounds.newest.sequence);
        let epoch = bounds.epoch;
        let bounds = Arc::new(RwLock::new(bounds));
        let writer = Writer::start(connection, epoch, limits, bounds.clone(), newest.clone())
            .map_err(OpenError::Thread)?;
        let readers = Arc::new(Readers { path, idle: Mutex::default() });
        Ok(DiskLog { bounds, newest, readers, writer, _lock: lock })
    }

    /// Runs `read` on a connection, in one transaction, off the async threads.
    async fn read_with<T: Send + 'static>(
        &self,
        read: impl FnOnce(Pages<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, LogError> {
        let readers = self.readers.clone();
        let Bounds { epoch, newest, .. } = self.bounds();
        let read = move |connection: &Connection| read(Pages { connection, epoch, newest });
        let done = tokio::task::spawn_blocking(move || readers.with(read)).await;
        match done {
            Ok(read) => read.map_err(failed),
            Err(error) => Err(LogError::Unavailable { reason: format!("a reader failed: {error}") }),
        }
    }
}

fn failed(error: rusqlite::Error) -> LogError {
    LogError::Unavailable { reason: format!("the database failed: {error}") }
}

fn lock(directory: &Path) -> Result<File, OpenError> {
    let failed = |source| OpenError::Directory { path: directory.into(), source };
    fs::create_dir_all(directory).map_err(failed)?;
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(directory.join("lock"))
        .map_err(failed)?;
    match FileExt::try_lock(&file) {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { path: directory.into() }),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

/// Connections for reading: as many as were ever needed at once.
#[derive(Debug)]
struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    fn with<T>(&self, read: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> rusqlite::Result<T> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => schema::open_reader(&self.path)?,
        };
        // All of a page is read from one state of the log, and the transaction ends with it.
        let transaction = connection.transaction()?;
        let done = read(&transaction)?;
        transaction.finish()?;
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        Ok(done)
    }
}

impl Log for DiskLog {
    fn append(&self, batch: Vec<Append>) -> LogFuture<'_, Appended> {
        Box::pin(async move {
            let (reply, answer) = oneshot::channel();
            self.writer.send(Request { batch, reply }).await?;
            answer.await.unwrap_or_else(|_| Err(writer::gone()))
        })
    }

    fn read<'a>(&'a self, after: u64, interest: &'a Interest, limit: PageLimit) -> LogFuture<'a, Page> {
        let interest = interest.clone();
        Box::pin(self.read_with(move |pages| pages.read(after, &interest, limit)))
    }

    fn record(&self, sequence: u64) -> LogFuture<'_, Option<Arc<Record>>> {
        Box::pin(self.read_with(move |pages| pages.record(sequence)))
    }

    fn find<'a>(&'a self, publisher_id: &'a str) -> LogFuture<'a, Option<u64>> {
        let id = publisher_id.to_owned();
        Box::pin(self.read_with(move |pages| pages.find(&id)))
    }

    fn closed<'a>(&'a self, topic: &'a Topic) -> LogFuture<'a, Option<Arc<Record>>> {
        let topic = topic.clone();
        Box::pin(self.read_with(move |pages| pages.closed(&topic)))
    }

    fn bounds(&self) -> Bounds {
        *self.bounds.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn follow(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }
}
