//! The log that keeps its records in a SQLite database, in one directory.
//!
//! One thread writes and commits all waiting requests. A fixed number of [readers](readers) have their own connections,
//! and read bounded pages in short transactions, because a long transaction would prevent a reset of the write-ahead
//! log. `docs/design/log-format.md` describes the tables.

mod read;
mod schema;
mod tools;
mod write;

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use fs4::{FileExt, TryLockError};
use rusqlite::{Connection, ErrorCode, ffi};

pub use self::tools::{
    check::{Check, Finding, Part},
    epoch::NewEpoch,
    scan::{Found, Kept, Records, Unreadable},
    stat::{DiskStat, FileStat, TopicStat},
    view::{DiskView, ViewError},
};
use self::{
    read::{
        pages::Pages,
        readers::{Readers, Way},
        visible::Visible,
    },
    schema::{tables, watermarks::Watermarks},
    tools::epoch,
    write::{
        state::State,
        topic_index, write_ahead,
        writer::{self, Writer},
        writing::Writing,
    },
};
use super::{
    Append, Appended, Bounds, Clock, Fault, Following, Log, LogError, LogFuture, Page, PageLimit, Reads,
    Record, Retention, Turn, Wear,
    open::{Kind, OpenError, Opened},
    retention_rules::Rules,
    url,
};
use crate::{
    AttachmentId, AttachmentLimits, Attachments, Selector, Topic,
    attachments::{AttachmentDirectory, Unannounced},
    owner_only,
};

/// A log on disk, for the chooser.
pub(super) const KIND: Kind = Kind {
    scheme: "file",
    form: "file:DIR",
    parse: |rest| url::directory(rest).map(Some),
    open: |url, settings| {
        let directory = url.directory().expect("a URL of this kind names a directory");
        let mut on_disk = DiskSettings::from(settings.retention(Retention::on_disk()));
        on_disk.durability = settings.durability.unwrap_or(on_disk.durability);
        on_disk.attachments = settings.attachments;
        (on_disk.readers, on_disk.waiting_reads) = (settings.readers, settings.waiting_reads);
        let description = format!("on disk in {}, {}", directory.display(), on_disk.retention.describe());
        let (log, new_epoch) = match settings.new_epoch {
            true => {
                let (log, begun) = DiskLog::open_in_new_epoch(directory, on_disk)?;
                (log, Some(begun))
            }
            false => (DiskLog::open(directory, on_disk)?, None),
        };
        Ok(Opened { log: Arc::new(log), description, new_epoch })
    },
};

/// The name of the database in a log's directory.
const DATABASE: &str = "log.sqlite";

/// The settings of a [`DiskLog`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DiskSettings {
    /// How much is kept. Default: [`Retention::on_disk`].
    pub retention: Retention,
    /// The failures that an acknowledged append survives. Default: [`Durability::Fsync`].
    pub durability: Durability,
    /// How large attachments may be; they do not count as bytes of records.
    pub attachments: AttachmentLimits,
    /// How many rows of the index of topics, one for each topic of each record, wait in memory to be written together.
    /// More of them write less to the disk when many topics are published to in turn, take more memory, and make the start
    /// after a crash longer, when up to four times as many records are read. Default: 16,384.
    pub unlisted_rows: usize,
    /// How many threads read, each with a connection to the database: two or three file descriptors, and a cache of up to 2 MiB.
    /// Half of them look through the history for patterns, all of them read what is found by an index. Default: 16, at
    /// least 2.
    pub readers: usize,
    /// How many reads of either kind may wait for a reader; one more fails with [`LogError::Busy`]. Default: 16,384.
    pub waiting_reads: usize,
}

impl Default for DiskSettings {
    fn default() -> DiskSettings {
        let attachments = AttachmentLimits::default();
        let (retention, durability) = (Retention::on_disk(), Durability::Fsync);
        let (unlisted_rows, readers, waiting_reads) = (16_384, 16, 16_384);
        DiskSettings { retention, durability, attachments, unlisted_rows, readers, waiting_reads }
    }
}

impl From<Retention> for DiskSettings {
    fn from(retention: Retention) -> DiskSettings {
        DiskSettings { retention, ..DiskSettings::default() }
    }
}

/// When an append is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Durability {
    /// When it is on the disk: it survives a loss of power.
    Fsync,
    /// When the operating system has it: it survives the end of the process, and a loss of power only if that comes
    /// later than `sync_every` afterwards.
    Write {
        /// How long what was answered may wait to be on the disk.
        sync_every: Duration,
    },
}

/// A [`Log`] on disk. Acknowledged updates survive the end of the process, and by default a loss of power.
///
/// Dropping it waits until what is being written is written.
#[derive(Debug)]
pub struct DiskLog {
    visible: Visible,
    attachments: Arc<dyn Attachments>,
    readers: Readers,
    writer: Writer,
    /// Held for as long as the log is open, so that no other process opens it.
    _lock: File,
}

impl OpenError {
    fn no_randomness(source: io::Error) -> OpenError {
        let what = "there is no randomness for a new log";
        OpenError::Resource { what, source: source.into() }
    }

    /// Interprets an error of SQLite on the database at `path`.
    fn of(path: &Path, source: rusqlite::Error) -> OpenError {
        let path = path.to_owned();
        match source.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => OpenError::NotADatabase { path },
            // A log of ours has all that we ask for, in the type that we ask for.
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::Unknown) | None => {
                OpenError::Damaged { path, reason: reason(&source) }
            }
            Some(_) => OpenError::Database { path, source: source.into() },
        }
    }
}

impl DiskLog {
    /// Opens the log in `directory`, or begins one there. The directory is created if it is not there.
    ///
    /// # Errors
    /// [`OpenError`] says what is in the way. Nothing is ever repaired in silence.
    pub fn open(directory: &Path, settings: impl Into<DiskSettings>) -> Result<DiskLog, OpenError> {
        DiskLog::open_with_clock(directory, settings, Clock::system())
    }

    /// The same with a clock of one's own for the ages of records.
    ///
    /// # Errors
    /// As [`open`](DiskLog::open).
    pub fn open_with_clock(
        directory: &Path,
        settings: impl Into<DiskSettings>,
        clock: Clock,
    ) -> Result<DiskLog, OpenError> {
        let lock = lock(directory)?;
        DiskLog::open_locked(directory, settings.into(), lock, clock)
    }

    /// Opens the log in `directory` under a new epoch: all IDs that the hub has given become unknown, and a subscriber that comes
    /// back with one is told of a gap.
    ///
    /// A log that is whole keeps its records. Of one that is damaged the files are moved aside, and an empty one is
    /// begun; nothing is deleted. Where there is no log, one begins.
    ///
    /// # Errors
    /// As [`open`](DiskLog::open), but for damage. A database of another program or a newer version stays in its place.
    pub fn open_in_new_epoch(
        directory: &Path,
        settings: impl Into<DiskSettings>,
    ) -> Result<(DiskLog, NewEpoch), OpenError> {
        let lock = lock(directory)?;
        let begun = epoch::begin(&directory.join(DATABASE))?;
        Ok((DiskLog::open_locked(directory, settings.into(), lock, Clock::system())?, begun))
    }

    fn open_locked(
        directory: &Path,
        settings: DiskSettings,
        lock: File,
        clock: Clock,
    ) -> Result<DiskLog, OpenError> {
        let path = directory.join(DATABASE);
        write_ahead::make_durable(&beside(&path, "-wal"))
            .map_err(|source| OpenError::Directory { path: directory.into(), source })?;
        let (connection, bounds) = tables::open(&path)?;
        if owner_only::is_open_to_others(directory, &path) {
            let directory = directory.display();
            tracing::warn!(
                "other users of this machine can read the history; `chmod 700 {directory}` keeps it to its owner"
            );
        }
        let rules = Rules::from(settings.retention.clone());
        let state =
            State::load(&connection, &rules, bounds).map_err(|source| OpenError::of(&path, source))?;
        let pending_index = Watermarks::read(&connection, tables::VERSION)
            .and_then(|watermarks| topic_index::load(&connection, watermarks.listed))
            .map_err(|source| OpenError::of(&path, source))?;
        let visible = Visible::new(bounds, pending_index);
        let attachments: Arc<dyn Attachments> =
            Arc::new(open_attachments(directory, settings.attachments, &connection)?);
        let store = attachments.clone();
        let readers = Readers::new(path.clone(), settings.readers, settings.waiting_reads);
        let writer = Writing::new(&path, connection, clock, settings, state, store, visible.clone())
            .and_then(Writer::start)
            .map_err(|source| OpenError::Resource {
                what: "the log's thread cannot be started",
                source: source.into(),
            })?;
        Ok(DiskLog { visible, attachments, readers, writer, _lock: lock })
    }

    /// Runs `read` on a reader's connection, in one transaction. Dropping the future takes a read back that has not begun.
    async fn read_with<T: Send + 'static>(
        &self,
        way: Way,
        read: impl FnOnce(Pages<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, LogError> {
        let Bounds { epoch, newest, .. } = self.bounds();
        self.readers.read(way, move |connection| read(Pages { connection, epoch, newest })).await
    }
}

fn failed(error: rusqlite::Error) -> LogError {
    if is_full(&error) {
        return LogError::Full;
    }
    let reason = match write_ahead::final_failure(&error).map(|error| error.extended_code) {
        Some(ffi::SQLITE_READONLY_DBMOVED) => "its files were deleted while it was open; restart the hub",
        Some(_) => "the disk did not keep what was written; check it, then restart the hub",
        None => "its database failed; the hub's own log says more",
    };
    LogError::unavailable(reason, error)
}

/// The damage, without the column in which it was noticed.
fn reason(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::FromSqlConversionFailure(_, _, source) => source.to_string(),
        error => error.to_string(),
    }
}

/// The file beside `path` whose name has `suffix` at its end.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Makes a new name in the directory of `path` survive a loss of power.
fn sync_directory_of(path: &Path) -> io::Result<()> {
    match path.parent() {
        // Only Unix opens a directory as a file; elsewhere the name is on the disk when the system says so.
        Some(directory) if cfg!(unix) => File::open(directory)?.sync_all(),
        _ => Ok(()),
    }
}

/// Whether there was no room. The index of the write-ahead log, in a file of its own, has another code for it.
fn is_full(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error().map(|error| error.extended_code);
    matches!(code, Some(ffi::SQLITE_FULL | ffi::SQLITE_IOERR_SHMSIZE))
}

fn lock(directory: &Path) -> Result<File, OpenError> {
    let failed = |source| OpenError::Directory { path: directory.into(), source };
    create(directory).map_err(failed)?;
    let file = owner_only::file()
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

/// Opens the attachments beside the database, without those that it does not announce.
fn open_attachments(
    directory: &Path,
    limits: AttachmentLimits,
    connection: &Connection,
) -> Result<AttachmentDirectory, OpenError> {
    let directory = directory.join("attachments");
    let is_announced = |id: &AttachmentId| {
        connection
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM records WHERE attachment = ?)")
            .and_then(|mut query| query.query_row([id.as_str()], |row| row.get(0)))
            .map_err(io::Error::other)
    };
    AttachmentDirectory::open(&directory, limits, is_announced)
        .map_err(|source| OpenError::Directory { path: directory, source })
}

/// Creates the directory if it is missing. A new directory survives a loss of power once its parent is synced. SQLite
/// syncs its content.
fn create(directory: &Path) -> io::Result<()> {
    let new = directory.ancestors().take_while(|above| !above.as_os_str().is_empty() && !above.exists());
    let new: Vec<_> = new.collect();
    owner_only::create_directory(directory)?;
    // Elsewhere a directory cannot be opened as a file.
    if cfg!(unix) {
        for directory in new {
            let above = directory.parent().filter(|above| !above.as_os_str().is_empty());
            File::open(above.unwrap_or(Path::new(".")))?.sync_all()?;
        }
    }
    Ok(())
}

impl Log for DiskLog {
    fn append(&self, batch: Vec<Append>) -> LogFuture<'_, Appended> {
        self.append_in_turn(batch, Turn::default())
    }

    fn append_in_turn(&self, batch: Vec<Append>, turn: Turn) -> LogFuture<'_, Appended> {
        if batch.is_empty() {
            return Box::pin(std::future::ready(Ok(Appended::default())));
        }
        let files = Unannounced::of(&self.attachments, batch.iter().map(|append| &append.update));
        Box::pin(async move {
            let answer = self.writer.send(batch, files, turn).await?;
            answer.await.unwrap_or_else(|_| Err(writer::gone()))
        })
    }

    fn read<'a>(&'a self, after: u64, selector: &'a Selector, limit: PageLimit) -> LogFuture<'a, Page> {
        if selector.is_everything() {
            if let Some(page) = self.visible.recent_page(after, limit) {
                return Box::pin(std::future::ready(Ok(page)));
            }
        }
        let way = if selector.is_searched_for() { Way::Search } else { Way::Direct };
        let (selector, visible) = (selector.clone(), self.visible.clone());
        Box::pin(self.read_with(way, move |pages| {
            // After the newest record that it may see was settled, and before its first query settles which state of the
            // tables it sees: what is listed meanwhile is then in both, and no row is in neither.
            match way {
                Way::Direct => {
                    let pending_index = visible.pending_index().of_each(selector.topics(), after);
                    pages.read(after, &selector, limit, &pending_index)
                }
                Way::Search => {
                    let first_unlisted = visible.pending_index().first();
                    pages.search(after, &selector, limit, first_unlisted)
                }
            }
        }))
    }

    fn record(&self, sequence: u64) -> LogFuture<'_, Option<Arc<Record>>> {
        Box::pin(self.read_with(Way::Direct, move |pages| pages.record(sequence)))
    }

    fn find<'a>(&'a self, publisher_id: &'a str, selector: &'a Selector) -> LogFuture<'a, Option<u64>> {
        let (id, selector) = (publisher_id.to_owned(), selector.clone());
        Box::pin(self.read_with(Way::Direct, move |pages| pages.find(&id, &selector)))
    }

    fn closed<'a>(&'a self, topic: &'a Topic) -> LogFuture<'a, Option<Arc<Record>>> {
        let topic = topic.clone();
        Box::pin(self.read_with(Way::Direct, move |pages| pages.closed(&topic)))
    }

    fn announcing<'a>(&'a self, attachment: &'a AttachmentId) -> LogFuture<'a, Option<Arc<Record>>> {
        let attachment = attachment.clone();
        Box::pin(self.read_with(Way::Direct, move |pages| pages.announcing(&attachment)))
    }

    fn attachments(&self) -> Option<&Arc<dyn Attachments>> {
        Some(&self.attachments)
    }

    fn bounds(&self) -> Bounds {
        self.visible.bounds()
    }

    fn health(&self) -> Result<(), Fault> {
        self.writer.health()
    }

    fn wear(&self) -> Wear {
        self.writer.wear()
    }

    fn follow(&self) -> Following {
        self.visible.follow()
    }

    fn reads(&self) -> Option<Reads> {
        Some(self.readers.reads())
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs};

    use tempfile::TempDir;

    use super::*;
    use crate::{
        Update,
        log::{IdempotencyKey, Limits},
    };

    const IDS: [&str; 3] = ["AAAAAAAAAAAAAAAAAAAAAA", "BBBBBBBBBBBBBBBBBBBBBA", "CCCCCCCCCCCCCCCCCCCCCA"];

    #[test]
    fn each_connection_has_a_page_cache_of_its_own() {
        let directory = TempDir::new().unwrap();
        drop(open(&directory));
        let reader = tables::open_reader(&directory.path().join("log.sqlite")).unwrap();
        let mut options = reader.prepare("PRAGMA compile_options").unwrap();
        let options: Vec<String> =
            options.query_map((), |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap();
        assert!(options.iter().any(|option| option == "ENABLE_STAT4"), "{options:?}");
        assert!(!options.iter().any(|option| option == "ENABLE_MEMORY_MANAGEMENT"), "see .cargo/config.toml");
    }

    fn open(directory: &TempDir) -> DiskLog {
        let limits = Limits { records: 2, ..Limits::default() };
        let retention = Retention { limits, ..Retention::on_disk() };
        DiskLog::open(directory.path(), retention).unwrap()
    }

    /// Puts a file of ten bytes there, and makes the update that announces it.
    fn announcing(directory: &TempDir, id: &str) -> Update {
        fs::write(directory.path().join("attachments").join(id), "ten bytes.").unwrap();
        let data = format!("{{\"url\":\"/attachments/{id}\"}}");
        Update::new(Topic::parse("t").unwrap(), data).with_attachment(AttachmentId::parse(id).unwrap())
    }

    fn files(directory: &TempDir) -> BTreeSet<String> {
        let entries = fs::read_dir(directory.path().join("attachments")).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[tokio::test]
    async fn a_file_stays_as_long_as_the_record_that_announces_it() {
        let directory = TempDir::new().unwrap();
        let log = open(&directory);
        let [first, second, third] = IDS.map(|id| announcing(&directory, id));
        log.append(vec![first.into(), second.into()]).await.unwrap();
        assert_eq!(files(&directory), BTreeSet::from(IDS.map(String::from)));
        let id = AttachmentId::parse(IDS[1]).unwrap();
        assert_eq!(log.announcing(&id).await.unwrap().unwrap().sequence(), 2);

        // A record more than is kept: the oldest goes, and its file with it.
        log.append(vec![third.into()]).await.unwrap();
        assert_eq!(log.announcing(&AttachmentId::parse(IDS[0]).unwrap()).await.unwrap(), None);
        drop(log);
        assert_eq!(files(&directory), BTreeSet::from([IDS[1].into(), IDS[2].into()]));
    }

    #[tokio::test]
    async fn a_file_that_is_not_announced_is_removed() {
        let directory = TempDir::new().unwrap();
        let log = open(&directory);
        let key = IdempotencyKey::parse("k").unwrap();
        let [first, second, third] = IDS.map(|id| announcing(&directory, id));
        log.append(vec![Append { update: first, key: Some(key.clone()), time: None }]).await.unwrap();
        // Repeated: the first file is the one that was announced.
        let again = log.append(vec![Append { update: second, key: Some(key), time: None }]).await.unwrap();
        assert_eq!(again.receipts[0].attachment, AttachmentId::parse(IDS[0]));
        assert!(again.receipts[0].repeated);
        assert_eq!(files(&directory), BTreeSet::from([IDS[0].into(), IDS[2].into()]));
        // Refused.
        log.append(vec![Update::close(Topic::parse("t").unwrap(), "over").into()]).await.unwrap();
        log.append(vec![third.into()]).await.unwrap().refused.unwrap();
        assert_eq!(files(&directory), BTreeSet::from([IDS[0].into()]));
        // Nobody waits for the answer, or even asks the log to begin.
        drop(log.append(vec![announcing(&directory, IDS[1]).into()]));
        assert_eq!(files(&directory), BTreeSet::from([IDS[0].into()]));
    }

    #[tokio::test]
    async fn what_a_crash_has_left_is_removed_when_the_log_is_opened() {
        let directory = TempDir::new().unwrap();
        let log = open(&directory);
        log.append(vec![announcing(&directory, IDS[0]).into()]).await.unwrap();
        drop(log);
        announcing(&directory, IDS[1]);
        let foreign = ["notes.txt".to_owned(), "x.part".to_owned()];
        for name in foreign.iter().cloned().chain([format!("{}.part", IDS[2])]) {
            fs::write(directory.path().join("attachments").join(name), "left").unwrap();
        }
        let log = open(&directory);
        assert_eq!(
            files(&directory),
            BTreeSet::from([IDS[0].to_owned()].map(String::from)).into_iter().chain(foreign).collect()
        );
        let usage = log.attachments().unwrap().usage();
        assert_eq!((usage.files, usage.bytes), (1, 10));
    }
}
