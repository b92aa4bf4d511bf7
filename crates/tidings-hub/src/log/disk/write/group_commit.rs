//! Group commit: one sync brings all waiting commits to the disk. Then readers see them, and publishers are answered, in the order
//! of the commits.
//!
//! If other requests wait, a commit is acknowledged on a thread of its own, so that the next one is written while the disk
//! syncs. If none waits, the commit saves the way to that thread.

use std::{
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
        mpsc,
    },
    thread::{self, JoinHandle},
    time::SystemTime,
};

use rusqlite::ffi;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::{
    insert::Row,
    write_ahead::{self, Linked, WriteAheadFile},
};
use crate::{
    AttachmentId, Attachments,
    attachments::Unannounced,
    log::{
        Appended, Fault, LogError, Position, Turn,
        disk::{failed, read::visible::Visible},
    },
};

/// How many commits may wait to be acknowledged before no more is written.
const MAX_COMMITS: usize = 16;

/// A publisher that waits for an answer.
#[derive(Debug)]
pub(super) struct Waiter {
    /// Where the publisher waits.
    pub(super) reply: oneshot::Sender<Result<Appended, LogError>>,
    /// The files that its batch announces.
    pub(super) files: Unannounced,
    /// Its share of what may wait.
    pub(super) room: OwnedSemaphorePermit,
    /// Ends with the answer, so that the next batch comes.
    pub(super) turn: Turn,
}

impl Waiter {
    fn accept(self, outcome: Appended) {
        let Waiter { reply, mut files, room, turn } = self;
        files.keep(outcome.receipts.iter().filter_map(|receipt| receipt.attachment.as_ref()));
        drop(files);
        // A publisher that has stopped waiting has its updates in the log all the same.
        let _ = reply.send(Ok(outcome));
        drop((room, turn));
    }

    /// The records of a failed sync may exist when the log is opened again. Opening removes files that are not
    /// announced, so the files stay here for now.
    pub(super) fn refuse(mut self, error: LogError, may_be_there: bool) {
        if may_be_there {
            self.files.leave();
        }
        let _ = self.reply.send(Err(error));
    }
}

/// The effects of one commit, and the publishers that wait for it.
#[derive(Debug)]
pub(super) struct Commit {
    /// The newest record after it.
    pub(crate) newest: Position,
    /// The publishers, each with the answer that it gets once the commit is on the disk.
    pub(super) answers: Vec<(Waiter, Appended)>,
    /// Files whose records it has evicted.
    pub(super) orphans: Vec<AttachmentId>,
    /// The records that it has written.
    pub(crate) rows: Vec<Row>,
}

impl Commit {
    /// Whether a part of it must be on the disk before the answers. If updates were only repeated or refused, nothing
    /// must: an earlier commit kept their records, and commits are acknowledged in order.
    fn has_written(&self) -> bool {
        !self.rows.is_empty() || !self.orphans.is_empty()
    }

    /// How many publishers wait for it, and one if nobody does.
    fn weight(&self) -> usize {
        self.answers.len().max(1)
    }
}

/// Acknowledges commits.
#[derive(Debug)]
pub(super) struct GroupCommit {
    disk: Arc<Disk>,
    commits: Option<mpsc::SyncSender<Commit>>,
    thread: Option<JoinHandle<()>>,
}

impl GroupCommit {
    pub(super) fn start(disk: Arc<Disk>) -> io::Result<GroupCommit> {
        let (commits, waiting) = mpsc::sync_channel(MAX_COMMITS);
        let thread = thread::Builder::new().name("tidings-log-sync".into()).spawn({
            let disk = disk.clone();
            move || run(&disk, &waiting)
        })?;
        Ok(GroupCommit { disk, commits: Some(commits), thread: Some(thread) })
    }

    /// How many publishers wait for commits that are with the other thread; a commit that nobody waits for counts as one.
    pub(super) fn unanswered(&self) -> usize {
        self.disk.waiting.load(Ordering::Acquire)
    }

    /// Acknowledges on this thread if no commit is before it and `nobody_waits` for the next one; otherwise on the other thread.
    pub(super) fn acknowledge(&self, commit: Commit, nobody_waits: bool) {
        if (nobody_waits || !self.disk.syncs) && self.disk.waiting.load(Ordering::Acquire) == 0 {
            return self.disk.acknowledge([commit]);
        }
        self.disk.waiting.fetch_add(commit.weight(), Ordering::AcqRel);
        if let Some(Err(mpsc::SendError(commit))) = self.commits.as_ref().map(|commits| commits.send(commit))
        {
            // The thread has panicked, and says nothing any more.
            self.disk.acknowledge([commit]);
        }
    }
}

impl Drop for GroupCommit {
    fn drop(&mut self) {
        // Without a sender the thread ends, after what it has been sent.
        self.commits = None;
        if let Some(thread) = self.thread.take() {
            if thread.join().is_err() {
                tracing::error!("the log's syncing thread panicked");
            }
        }
    }
}

/// One sync does for all commits that wait.
fn run(disk: &Disk, waiting: &mpsc::Receiver<Commit>) {
    while let Ok(first) = waiting.recv() {
        let commits: Vec<_> = std::iter::once(first).chain(waiting.try_iter().take(MAX_COMMITS)).collect();
        let weight = commits.iter().map(Commit::weight).sum();
        disk.acknowledge(commits);
        disk.waiting.fetch_sub(weight, Ordering::AcqRel);
    }
}

/// The part of a log that is known to be on the disk.
#[derive(Debug)]
pub(super) struct Disk {
    file: Mutex<WriteAheadFile>,
    linked: Linked,
    /// Whether a commit is synced before it is acknowledged.
    syncs: bool,
    /// Why nothing is written any more, until the log is opened again.
    failure: Mutex<Option<(SystemTime, ffi::Error)>>,
    /// Why the last commit could not be made. The writer sets it, and tries again while it is there.
    failed_commit: Mutex<Option<Fault>>,
    /// How many records could not be evicted.
    pub(super) unevictable: AtomicU64,
    /// How many publishers wait for commits that are on their way to the other thread, or there ([`Commit::weight`]).
    waiting: AtomicUsize,
    attachments: Arc<dyn Attachments>,
    visible: Visible,
}

impl Disk {
    pub(super) fn new(
        file: WriteAheadFile,
        linked: Linked,
        syncs: bool,
        attachments: Arc<dyn Attachments>,
        visible: Visible,
    ) -> Disk {
        Disk {
            file: Mutex::new(file),
            linked,
            syncs,
            failure: Mutex::default(),
            failed_commit: Mutex::default(),
            unevictable: AtomicU64::new(0),
            waiting: AtomicUsize::new(0),
            attachments,
            visible,
        }
    }

    /// Brings the write-ahead log to the disk, with all that was committed before.
    pub(super) fn sync(&self) -> Result<(), ffi::Error> {
        // Another thread may be at it: whether that failed is known once it has let go of the file.
        let mut file = lock(&self.file);
        if let Some(failed) = self.failure() {
            return Err(failed);
        }
        file.sync().and_then(|()| self.linked.check()).inspect_err(|error| self.note_failure(*error))
    }

    /// Makes sure that what was committed is found by the next start, whether or not it is on the disk already.
    fn keep(&self, written: bool) -> Result<(), ffi::Error> {
        if self.syncs && written {
            return self.sync();
        }
        match self.failure() {
            Some(failed) => Err(failed),
            None if written => self.linked.check().inspect_err(|error| self.note_failure(*error)),
            // The update that it answers was kept by an earlier commit.
            None => Ok(()),
        }
    }

    /// The same, with an error of SQLite's kind.
    pub(super) fn sync_all(&self) -> rusqlite::Result<()> {
        self.sync().map_err(|error| rusqlite::Error::SqliteFailure(error, None))
    }

    pub(super) fn failure(&self) -> Option<ffi::Error> {
        lock(&self.failure).map(|(_, error)| error)
    }

    /// After a sync that failed nobody knows what is on the disk, and trying again would not tell.
    pub(super) fn note_failure(&self, error: ffi::Error) {
        tracing::error!(%error, "the log cannot be brought to the disk; nothing is written until it is opened again");
        lock(&self.failure).get_or_insert((SystemTime::now(), error));
    }

    /// Notes the error if nothing can be written after it, and says whether that is new.
    pub(super) fn note_if_final(&self, error: &rusqlite::Error) -> bool {
        // An earlier one is handed out as an error again, and is known.
        let failed = write_ahead::final_failure(error).filter(|_| self.failure().is_none());
        if let Some(failed) = failed {
            self.note_failure(failed);
        }
        failed.is_some()
    }

    /// Notes what came of the last commit.
    pub(super) fn note_commit(&self, failed: Option<LogError>) {
        let mut before = lock(&self.failed_commit);
        let since = before.take().map_or_else(SystemTime::now, |fault| fault.since);
        *before = failed.map(|error| Fault { since, error });
    }

    /// Whether the last commit failed.
    pub(super) fn has_failed_commit(&self) -> bool {
        lock(&self.failed_commit).is_some()
    }

    pub(super) fn health(&self) -> Result<(), Fault> {
        // Files that were deleted are noticed before somebody publishes.
        if let (None, Err(error)) = (self.failure(), self.linked.check()) {
            self.note_failure(error);
        }
        if let Some((since, error)) = *lock(&self.failure) {
            return Err(Fault { since, error: failed(rusqlite::Error::SqliteFailure(error, None)) });
        }
        lock(&self.failed_commit).clone().map_or(Ok(()), Err)
    }

    /// Notes what came of copying the write-ahead log back; how many pages were copied.
    pub(super) fn note_copied(&self, copied: rusqlite::Result<i32>) -> i32 {
        copied.unwrap_or_else(|error| {
            tracing::error!(%error, "the write-ahead log cannot be copied into the database");
            self.note_if_final(&error);
            0
        })
    }

    fn acknowledge<C>(&self, commits: C)
    where
        C: AsRef<[Commit]> + IntoIterator<Item = Commit>,
    {
        let synced = self.keep(commits.as_ref().iter().any(Commit::has_written));
        for Commit { newest, answers, orphans, rows } in commits {
            if let Err(error) = synced {
                let error = failed(rusqlite::Error::SqliteFailure(error, None));
                for (waiter, _) in answers {
                    waiter.refuse(error.clone(), true);
                }
                continue;
            }
            let gone = self.visible.show(rows, newest);
            for id in &orphans {
                self.attachments.remove(id);
            }
            for (waiter, outcome) in answers {
                waiter.accept(outcome);
            }
            // Nobody waits for this.
            drop(gone);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
