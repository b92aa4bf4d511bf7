//! Writing: one thread that commits whatever waits, and evicts in small steps.

use std::{
    io,
    sync::{Arc, PoisonError, RwLock},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rusqlite::{Connection, TransactionBehavior, config::DbConfig, ffi};
use tokio::{
    runtime::{Builder, Runtime},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch},
    time::timeout,
};

use super::{
    DiskSettings, Durability, append::Appending, evict, failed, insert::Row, pages::Pages, state::State,
    write_ahead,
};
use crate::{
    Attachments,
    attachment::Unannounced,
    log::{Append, Appended, Bounds, LogError, Place},
};

/// How many publishes may wait for the writer; more wait outside, and with them their publishers' sockets.
const MAX_WAITING: usize = 1024;

/// How much of what waits, or is being written, there may be, in KiB. A batch that is larger waits until it is alone.
const MAX_WAITING_KIB: u32 = 32 << 10;

/// One commit takes no more requests once it has this many updates, so that the first of them is not answered late.
const MAX_COMMIT: usize = 4096;

/// How often it is looked for records that have outlived their limit while nobody publishes.
const LOOK_AT_AGE_EVERY: Duration = Duration::from_secs(1);

/// A batch to be appended, and where to answer.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) batch: Vec<Append>,
    /// The files that the batch announces.
    pub(super) files: Unannounced,
    pub(super) reply: oneshot::Sender<Result<Appended, LogError>>,
    /// Its share of what may wait, until it is answered.
    room: OwnedSemaphorePermit,
}

/// The handle of the writing thread; dropping it waits for the thread.
#[derive(Debug)]
pub(super) struct Writer {
    requests: Option<mpsc::Sender<Request>>,
    room: Arc<Semaphore>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(
        connection: Connection,
        settings: DiskSettings,
        state: State,
        attachments: Arc<Attachments>,
        bounds: Arc<RwLock<Bounds>>,
        newest: watch::Sender<u64>,
    ) -> io::Result<Writer> {
        let (requests, waiting) = mpsc::channel(MAX_WAITING);
        if matches!(settings.durability, Durability::Write { .. }) {
            connection.pragma_update(None, "synchronous", "NORMAL").map_err(io::Error::other)?;
        }
        let writing = Writing {
            connection,
            settings,
            state,
            attachments,
            bounds,
            newest,
            more_to_evict: true,
            unsynced: None,
            written: Vec::new(),
            failed_sync: None,
        };
        let thread = thread::Builder::new().name("tidings-log".into()).spawn(move || writing.run(waiting))?;
        let room = Arc::new(Semaphore::new(MAX_WAITING_KIB as usize));
        Ok(Writer { requests: Some(requests), room, thread: Some(thread) })
    }

    /// Hands a batch to the thread, and gives back where it will be answered.
    pub(super) async fn send(
        &self,
        batch: Vec<Append>,
        files: Unannounced,
    ) -> Result<oneshot::Receiver<Result<Appended, LogError>>, LogError> {
        let Some(requests) = &self.requests else { return Err(gone()) };
        let bytes: usize = batch.iter().map(|append| append.update.event().data().len()).sum();
        let kib = u32::try_from(bytes >> 10).unwrap_or(u32::MAX).saturating_add(1).min(MAX_WAITING_KIB);
        let room = self.room.clone().acquire_many_owned(kib).await.map_err(|_| gone())?;
        let (reply, answer) = oneshot::channel();
        requests.send(Request { batch, files, reply, room }).await.map_err(|_| gone())?;
        Ok(answer)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Without senders the thread ends, after what it has taken.
        self.requests = None;
        if let Some(thread) = self.thread.take() {
            if thread.join().is_err() {
                tracing::error!("the log's thread panicked");
            }
        }
    }
}

pub(super) fn gone() -> LogError {
    LogError::Unavailable { reason: "its thread has ended".into() }
}

struct Writing {
    connection: Connection,
    settings: DiskSettings,
    state: State,
    attachments: Arc<Attachments>,
    bounds: Arc<RwLock<Bounds>>,
    newest: watch::Sender<u64>,
    /// Whether a limit is still passed, and evicting goes on as soon as nobody waits.
    more_to_evict: bool,
    /// Since when something waits in the write-ahead log to be on the disk, under [`Durability::Write`].
    unsynced: Option<Instant>,
    /// What the last commit wrote, until its publishers are answered: giving memory back takes time as well.
    written: Vec<Row>,
    /// Why nothing is written any more, until the log is opened again.
    failed_sync: Option<ffi::Error>,
}

impl Writing {
    fn run(mut self, mut waiting: mpsc::Receiver<Request>) {
        let clock = match Builder::new_current_thread().enable_time().build() {
            Ok(clock) => clock,
            Err(error) => {
                tracing::error!(%error, "the log's thread can't be started");
                return;
            }
        };
        loop {
            match self.next(&clock, &mut waiting) {
                Next::Request(first) => {
                    let requests = gather(first, &mut waiting);
                    self.answer(requests);
                }
                Next::Nobody => self.evict(),
                Next::End => break,
            }
            if let Err(error) = self.sync_if_due() {
                tracing::error!(%error, "the log can't be brought to the disk");
            }
        }
        self.finish();
    }

    /// Waits for a request, but not for longer than what there is to do without one can wait.
    fn next(&self, clock: &Runtime, waiting: &mut mpsc::Receiver<Request>) -> Next {
        let sync_in = match (self.unsynced, self.settings.durability) {
            (Some(since), Durability::Write { sync_every }) => {
                Some(sync_every.saturating_sub(since.elapsed()))
            }
            _ => None,
        };
        let evict_in = match self.settings.retention.has_age() {
            _ if self.failed_sync.is_some() => None,
            _ if self.more_to_evict => Some(Duration::ZERO),
            true => Some(LOOK_AT_AGE_EVERY),
            false => None,
        };
        let request = match sync_in.into_iter().chain(evict_in).min() {
            None => waiting.blocking_recv(),
            Some(limit) => match clock.block_on(async { timeout(limit, waiting.recv()).await }) {
                Ok(request) => request,
                Err(_) => return Next::Nobody,
            },
        };
        request.map_or(Next::End, Next::Request)
    }

    fn answer(&mut self, requests: Vec<Request>) {
        let (batches, waiters): (Vec<_>, Vec<_>) = requests
            .into_iter()
            .map(|Request { batch, files, reply, room }| (batch, (reply, files, room)))
            .unzip();
        let had_failed = self.failed_sync.is_some();
        match self.commit(batches) {
            Ok(outcomes) => {
                for ((reply, mut files, _room), outcome) in waiters.into_iter().zip(outcomes) {
                    files.keep(&outcome.receipts);
                    drop(files);
                    // Whoever has stopped waiting has its updates in the log all the same.
                    let _ = reply.send(Ok(outcome));
                }
                // Nobody waits for this.
                self.written.clear();
            }
            Err(error) => {
                let error = failed(error);
                // What a sync that failed was for may be there when the log is opened again, which removes files that
                // are not announced.
                let may_be_there = self.failed_sync.is_some() && !had_failed;
                for (reply, mut files, _room) in waiters {
                    if may_be_there {
                        files.leave();
                    }
                    let _ = reply.send(Err(error.clone()));
                }
            }
        }
    }

    /// A step of evicting, while nobody waits.
    fn evict(&mut self) {
        let had_more = self.more_to_evict;
        if let Err(error) = self.commit(Vec::new()) {
            tracing::error!(%error, "old records can't be evicted");
            self.more_to_evict = false;
        } else if had_more && !self.more_to_evict {
            // Only this gives the space to the file system, and perhaps nobody publishes who would call for it.
            self.note_copied(write_ahead::copy_back(&self.connection));
        }
    }

    /// Appends all batches in one transaction, evicts a step, and lets readers see it. When it returns, it is as
    /// durable as was chosen.
    fn commit(&mut self, batches: Vec<Vec<Append>>) -> rusqlite::Result<Vec<Appended>> {
        if let Some(failed) = self.failed_sync {
            return Err(rusqlite::Error::SqliteFailure(failed, None));
        }
        let done = self.transact(batches);
        match &done {
            // What is committed stays so, whatever comes of this.
            Ok(_) => self.note_copied(write_ahead::after_commit(&self.connection)),
            Err(error) => self.note_failed_sync(error),
        }
        done
    }

    fn note_copied(&mut self, copied: rusqlite::Result<()>) {
        if let Err(error) = copied {
            tracing::error!(%error, "the write-ahead log can't be copied into the database");
            self.note_failed_sync(&error);
        }
    }

    /// After a sync that failed nobody knows what is on the disk, and trying again would not tell. What was acknowledged
    /// is in the write-ahead log, so that has to stay, and to be read by whoever opens the log next.
    fn note_failed_sync(&mut self, error: &rusqlite::Error) {
        if let Some(failed) = write_ahead::failed_sync(error) {
            self.failed_sync = Some(failed);
            if let Err(error) =
                self.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
            {
                tracing::error!(%error, "the write-ahead log can't be kept");
            }
        }
    }

    fn transact(&mut self, batches: Vec<Vec<Append>>) -> rusqlite::Result<Vec<Appended>> {
        let retention = &self.settings.retention;
        let epoch = self.state.bounds.epoch;
        let writes = !batches.is_empty();
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // The writer sees what it has written, announced or not.
        let pages = Pages { connection: &transaction, epoch, newest: Place::unchecked(u64::MAX) };
        let state = self.state.clone();
        let mut appending = Appending::new(&transaction, pages, retention, state)?;
        let outcomes = batches
            .into_iter()
            .map(|batch| appending.append_batch(batch))
            .collect::<rusqlite::Result<_>>()?;
        let (mut state, rows) = appending.finish()?;
        let (appended, mut orphans) = (rows.len(), Vec::new());
        let more_to_evict = evict::step(&transaction, retention, &mut state, appended, &mut orphans)?;
        state.note(&transaction, retention, false)?;
        transaction.commit()?;
        self.state = state;
        self.more_to_evict = more_to_evict;
        if writes && matches!(self.settings.durability, Durability::Write { .. }) {
            self.unsynced.get_or_insert_with(Instant::now);
        }
        self.publish();
        for id in &orphans {
            self.attachments.remove(id);
        }
        self.written = rows;
        Ok(outcomes)
    }

    /// Lets readers see what is committed.
    fn publish(&self) {
        let bounds = self.state.bounds;
        *self.bounds.write().unwrap_or_else(PoisonError::into_inner) = bounds;
        self.newest.send_if_modified(|newest| {
            let changed = *newest != bounds.newest.sequence;
            *newest = bounds.newest.sequence;
            changed
        });
    }

    fn sync_if_due(&mut self) -> rusqlite::Result<()> {
        match (self.unsynced, self.settings.durability) {
            (Some(since), Durability::Write { sync_every }) if since.elapsed() >= sync_every => self.sync(),
            _ => Ok(()),
        }
    }

    /// Brings the write-ahead log to the disk: a commit under `FULL` does, with all that was written before it.
    fn sync(&mut self) -> rusqlite::Result<()> {
        self.connection.pragma_update(None, "synchronous", "FULL")?;
        let synced = self.connection.execute("UPDATE log SET evicted = evicted", ());
        self.connection.pragma_update(None, "synchronous", "NORMAL")?;
        self.unsynced = None;
        if let Err(error) = &synced {
            self.note_failed_sync(error);
            if self.failed_sync.is_none() {
                // For lack of room, perhaps: it is tried again.
                self.unsynced = Some(Instant::now());
            }
        }
        synced.map(drop)
    }

    /// The log is closed: nothing is left to be counted, and nothing only in the operating system's memory.
    fn finish(mut self) {
        if self.failed_sync.is_some() {
            return;
        }
        let noted = self.state.note(&self.connection, &self.settings.retention, true);
        let synced = if self.unsynced.is_some() { self.sync() } else { Ok(()) };
        if let Err(error) = noted.and(synced) {
            tracing::error!(%error, "the log could not be closed cleanly; nothing that was acknowledged is lost");
        }
    }
}

enum Next {
    Request(Request),
    /// Nobody asked for anything in time.
    Nobody,
    End,
}

/// The first request, and those that wait behind it: one commit does for all of them.
///
/// It does not wait for more. While the disk syncs, the publishers who were answered before send again, so there are most
/// often as many as fit into the time that a sync takes.
fn gather(first: Request, waiting: &mut mpsc::Receiver<Request>) -> Vec<Request> {
    let mut updates = first.batch.len();
    let mut requests = vec![first];
    while updates < MAX_COMMIT {
        let Ok(next) = waiting.try_recv() else { break };
        updates += next.batch.len();
        requests.push(next);
    }
    requests
}
