//! The writer: one thread that commits all waiting requests, and evicts in small steps. A commit is
//! [acknowledged](super::group_commit) while the next one is written.

use std::{
    io,
    path::Path,
    sync::{Arc, atomic::Ordering},
    thread,
    time::{Duration, Instant},
};

use rusqlite::{Connection, ErrorCode, TransactionBehavior, config::DbConfig};
use tokio::{
    runtime::{Builder, Runtime},
    sync::mpsc,
    time::timeout,
};

use super::{
    append::{Appending, Taken},
    checkpoint::Checkpoint,
    evict::{self, Evicted},
    group_commit::{Commit, Disk, GroupCommit, Waiter},
    insert::Row,
    state::State,
    topic_index,
    write_ahead::{Linked, WriteAheadFile},
    writer::Request,
};
use crate::{
    Attachments,
    log::{
        Append, Appended, Clock, LogError, Position,
        disk::{
            DiskSettings, Durability, beside, failed,
            read::{outline::Outline, pages::Pages, pending_index::Rows, visible::Visible},
        },
        retention_rules::Rules,
    },
};

/// One commit takes no more requests once it has this many updates, so that the first of them is not answered late.
const MAX_COMMIT: usize = 4096;

/// From so many requests on, with those whose commit is not acknowledged yet, a commit is for half of them at the most: one
/// half is then written while the disk syncs the other. To sync fewer twice takes longer than to write them.
const MANY: usize = 48;

/// How often a log that could not be written to is tried again.
const TRY_EVERY: Duration = Duration::from_secs(1);

/// How often it is looked for records that have outlived their limit while nobody publishes.
const LOOK_AT_AGE_EVERY: Duration = Duration::from_secs(1);

/// The appends of each of several requests.
type Batches = Vec<Vec<Append>>;

/// The requests of one commit.
struct Requests {
    batches: Batches,
    waiters: Vec<Waiter>,
}

impl Requests {
    fn push(&mut self, Request { batch, waiter }: Request) {
        self.batches.push(batch);
        self.waiters.push(waiter);
    }
}

/// The state of the thread.
pub(crate) struct Writing {
    connection: Connection,
    /// The clock of ages; the handle reads its jumps.
    pub(super) clock: Clock,
    settings: DiskSettings,
    rules: Rules,
    /// The state after the last commit, acknowledged or not.
    state: State,
    visible: Visible,
    /// The part that is on the disk. The handle reads its health.
    pub(super) disk: Arc<Disk>,
    group_commit: GroupCommit,
    checkpoint: Checkpoint,
    /// Whether evicting has met damage, and must not be part of what publishers wait for.
    evicts_apart: bool,
    /// Whether a limit is still passed, and evicting goes on as soon as nobody waits.
    more_to_evict: bool,
    /// Since when something waits in the write-ahead log to be on the disk, under [`Durability::Write`].
    unsynced: Option<Instant>,
}

impl Writing {
    pub(crate) fn new(
        database: &Path,
        connection: Connection,
        clock: Clock,
        settings: DiskSettings,
        state: State,
        attachments: Arc<dyn Attachments>,
        visible: Visible,
    ) -> io::Result<Writing> {
        // SQLite itself syncs around each checkpoint, and no longer within a commit.
        connection.pragma_update(None, "synchronous", "NORMAL").map_err(io::Error::other)?;
        let file = WriteAheadFile::open(&beside(database, "-wal"))?;
        let syncs = settings.durability == Durability::Fsync;
        let linked = Linked::open(&[database, &beside(database, "-wal")])?;
        let disk = Arc::new(Disk::new(file, linked, syncs, attachments, visible.clone()));
        let group_commit = GroupCommit::start(disk.clone())?;
        let checkpoint = Checkpoint::start(database, disk.clone())?;
        Ok(Writing {
            connection,
            clock,
            rules: Rules::from(settings.retention.clone()),
            settings,
            state,
            visible,
            disk,
            group_commit,
            checkpoint,
            evicts_apart: false,
            more_to_evict: true,
            unsynced: None,
        })
    }

    pub(super) fn run(mut self, mut waiting: mpsc::Receiver<Request>) {
        let clock = match Builder::new_current_thread().enable_time().build() {
            Ok(clock) => clock,
            Err(error) => {
                tracing::error!(%error, "the log's thread cannot be started");
                return;
            }
        };
        loop {
            match self.next(&clock, &mut waiting) {
                Next::Request(first) => {
                    let most = self.share(&waiting);
                    let requests = gather(first, &mut waiting, most);
                    let alone = requests.batches.len() == 1 && waiting.is_empty();
                    self.write(requests, alone);
                }
                Next::Nobody => {
                    self.try_again();
                    // Not with each step of evicting: a reader may take its time.
                    if self.checkpoint.lags() && !self.more_to_evict {
                        self.checkpoint.copy_all(&self.connection);
                    }
                    self.evict();
                }
                Next::End => break,
            }
            self.sync_if_due();
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
        let evict_in = match self.rules.has_age() {
            _ if self.disk.failure().is_some() => None,
            _ if self.more_to_evict => Some(Duration::ZERO),
            true => Some(LOOK_AT_AGE_EVERY),
            false => None,
        };
        let try_in = (self.disk.has_failed_commit() && self.disk.failure().is_none()).then_some(TRY_EVERY);
        let copy_in = (self.checkpoint.lags() && self.disk.failure().is_none()).then_some(TRY_EVERY);
        let request = match sync_in.into_iter().chain(evict_in).chain(try_in).chain(copy_in).min() {
            None => waiting.blocking_recv(),
            Some(limit) => match clock.block_on(async { timeout(limit, waiting.recv()).await }) {
                Ok(request) => request,
                Err(_) => return Next::Nobody,
            },
        };
        request.map_or(Next::End, Next::Request)
    }

    /// How many requests go into one commit: the first with all that wait after it, or half of [`MANY`].
    fn share(&self, waiting: &mpsc::Receiver<Request>) -> usize {
        let all = 1 + waiting.len() + self.group_commit.unanswered();
        if self.settings.durability != Durability::Fsync || all < MANY {
            return all;
        }
        let half = all.div_ceil(2);
        if 1 + waiting.len() < half {
            // A publisher that was just answered may need only a core to come back.
            thread::yield_now();
        }
        half
    }

    /// Writes all requests in one commit. `alone` says that no other request waits.
    ///
    /// If that fails, each gets its own commit, because a fault of one request must not affect the others. If one of
    /// these finds the disk full, which it returns, the requests after it are refused without a try: each try would
    /// write to that disk.
    fn write(&mut self, Requests { batches, waiters }: Requests, alone: bool) -> Option<LogError> {
        match self.commit(batches) {
            Ok((outcomes, commit)) => {
                if self.disk.has_failed_commit() {
                    self.disk.note_commit(None);
                }
                let answers = waiters.into_iter().zip(outcomes).collect();
                self.group_commit.acknowledge(Commit { answers, ..commit }, alone);
                // The commit stays, even if this fails.
                self.checkpoint.after_commit(&self.connection, alone);
                if self.evicts_apart {
                    self.evict_apart();
                }
                None
            }
            Err((error, batches)) => {
                let may_be_there = self.disk.note_if_final(&error);
                if batches.len() > 1 && self.disk.failure().is_none() {
                    tracing::debug!(%error, "a commit of several publishes failed; each is tried by itself");
                    let mut full = None;
                    for (batch, waiter) in batches.into_iter().zip(waiters) {
                        full = match full {
                            None => {
                                self.write(Requests { batches: vec![batch], waiters: vec![waiter] }, false)
                            }
                            Some(error) => {
                                waiter.refuse(LogError::clone(&error), false);
                                Some(error)
                            }
                        };
                    }
                    return full;
                }
                // An update that is too large says nothing of the log, and a damaged record that it asks for nothing of others.
                let too_big = error.sqlite_error_code() == Some(ErrorCode::TooBig);
                let of_itself = too_big || (evict::is_damage(&error) && self.can_write());
                let error = failed(error);
                if !of_itself {
                    self.disk.note_commit(Some(error.clone()));
                }
                for waiter in waiters {
                    waiter.refuse(error.clone(), may_be_there);
                }
                Some(error).filter(|error| matches!(error, LogError::Full))
            }
        }
    }

    /// If the last commit failed, tries whether a commit is possible. So the reported health is right even while nobody
    /// publishes.
    fn try_again(&mut self) {
        if self.disk.has_failed_commit() && self.can_write() {
            tracing::info!("the log can be written to again");
            self.disk.note_commit(None);
        }
    }

    /// Writes a record and takes it back.
    fn can_write(&mut self) -> bool {
        if self.disk.failure().is_some() {
            return false;
        }
        let next = self.state.bounds.newest.sequence + 1;
        let mut attempt = || -> rusqlite::Result<()> {
            let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            transaction.execute(
                "INSERT INTO records (sequence, time, flags, topics, type, data, sum) VALUES (?, 0, 0, '', '', '', 0)",
                [next],
            )?;
            transaction.execute("DELETE FROM records WHERE sequence = ?", [next])?;
            transaction.commit()?;
            self.disk.sync_all()
        };
        attempt()
            .inspect_err(|error| {
                tracing::debug!(%error, "the log cannot be written to");
                self.disk.note_if_final(error);
            })
            .is_ok()
    }

    /// A step of evicting, while nobody waits.
    fn evict(&mut self) {
        if self.evicts_apart {
            return self.evict_apart();
        }
        let had_more = self.more_to_evict;
        match self.commit(Vec::new()) {
            Ok((_, commit)) => {
                self.group_commit.acknowledge(commit, true);
                // Only this gives the space to the file system, and perhaps nobody publishes and so calls for it.
                match had_more && !self.more_to_evict {
                    true => self.checkpoint.copy_all(&self.connection),
                    false => self.checkpoint.after_commit(&self.connection, true),
                }
            }
            Err((error, _)) => self.cannot_evict(&error),
        }
    }

    /// A step of evicting in transactions of its own.
    fn evict_apart(&mut self) {
        if self.disk.failure().is_some() {
            return;
        }
        let (before, now) = (self.state.bounds.evicted, self.clock.now());
        let evicted = evict::step_past_damage(&mut self.connection, &self.rules, now, &mut self.state);
        match evicted {
            Ok(mut evicted) => {
                // Before anything is acknowledged: after a sync that failed, another one says nothing.
                if let Some(error) = evicted.ended_by.take() {
                    self.cannot_evict(&error);
                }
                let commit = self.note_evicted(evicted, before, &Rows::new(), Vec::new());
                self.group_commit.acknowledge(commit, true);
                self.checkpoint.after_commit(&self.connection, true);
            }
            Err(error) => self.cannot_evict(&error),
        }
    }

    fn cannot_evict(&mut self, error: &rusqlite::Error) {
        tracing::error!(%error, "old records cannot be evicted");
        self.disk.note_if_final(error);
        self.more_to_evict = false;
    }

    /// Appends all batches in one transaction, in which it also lists and evicts a step. Returns the results of the
    /// batches, and the commit to acknowledge.
    ///
    /// # Errors
    /// With the batches, of which nothing was appended.
    fn commit(&mut self, batches: Batches) -> Result<(Vec<Appended>, Commit), (rusqlite::Error, Batches)> {
        if let Some(failed) = self.disk.failure() {
            return Err((rusqlite::Error::SqliteFailure(failed, None), batches));
        }
        let writes = !batches.is_empty();
        let mut made = Made::default();
        let mut waiting = batches.into_iter();
        let done = self.make(&mut waiting, &mut made);
        let Made { outcomes, rows, taken, listed, evicted, met_damage, state } = made;
        let state = match (done, state) {
            (Ok(()), Some(state)) => state,
            (Err(error), _) => {
                let batches = taken.give_back(rows).into_iter().chain(waiting).collect();
                if met_damage {
                    tracing::error!(%error, "damage stops an eviction; from now on the log evicts apart from publishing");
                    self.evicts_apart = true;
                    return self.commit(batches);
                }
                return Err((error, batches));
            }
            (Ok(()), None) => unreachable!("what is made has a state"),
        };
        let before = self.state.bounds.evicted;
        self.state = state;
        self.state.groups.settle();
        if writes && matches!(self.settings.durability, Durability::Write { .. }) {
            self.unsynced.get_or_insert_with(Instant::now);
        }
        Ok((outcomes, self.note_evicted(evicted, before, &listed, rows)))
    }

    /// Notes the eviction of records after `before`. Returns the commit to acknowledge.
    fn note_evicted(&mut self, evicted: Evicted, before: u64, listed: &Rows, rows: Vec<Row>) -> Commit {
        let Evicted { gone, more, unevictable, .. } = evicted;
        self.note_rows(listed, &rows, &gone);
        self.disk.unevictable.fetch_add(unevictable, Ordering::Relaxed);
        if self.state.bounds.evicted != before {
            self.visible.show_evicted(self.state.bounds);
        }
        self.more_to_evict = more;
        let orphans = gone.into_iter().filter_map(|outline| outline.attachment).collect();
        Commit { newest: self.state.bounds.newest, answers: Vec::new(), orphans, rows }
    }

    /// The transaction of a commit. Requests that it has taken from `waiting` are in `made`, with any result.
    fn make(
        &mut self,
        waiting: &mut std::vec::IntoIter<Vec<Append>>,
        made: &mut Made,
    ) -> rusqlite::Result<()> {
        let rules = &self.rules;
        let epoch = self.state.bounds.epoch;
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // The writer sees what it has written, acknowledged or not.
        let pages = Pages { connection: &transaction, epoch, newest: Position::unchecked(u64::MAX) };
        let updates = waiting.as_slice().iter().map(Vec::len).sum();
        let mut appending = Appending::new(&transaction, pages, rules, self.state.clone(), updates)?;
        made.outcomes.reserve_exact(waiting.len());
        let mut append = || {
            for batch in waiting.by_ref() {
                made.outcomes.push(appending.append_batch(batch)?);
            }
            appending.flush()
        };
        let appended = append();
        let (mut state, rows, taken) = appending.finish();
        (made.rows, made.taken) = (rows, taken);
        appended?;
        made.listed = {
            let (most, newest) = (self.settings.unlisted_rows, self.state.bounds.newest.sequence);
            topic_index::step(&transaction, &self.visible.pending_index(), most, newest)?
        };
        if !self.evicts_apart {
            let evicted = evict::step(&transaction, rules, self.clock.now(), &mut state, made.rows.len());
            made.evicted = evicted.inspect_err(|error| made.met_damage = evict::is_damage(error))?;
        }
        state.note(&transaction, rules, false)?;
        transaction.commit()?;
        made.state = Some(state);
        Ok(())
    }

    /// Notes the records that the table of topics lacks after a commit: it adds the appended ones, and removes those
    /// that were listed or evicted.
    fn note_rows(&self, listed: &Rows, appended: &[Row], evicted: &[Outline]) {
        let mut pending_index = self.visible.change_unlisted();
        pending_index.listed(listed);
        for Row { record, .. } in appended {
            pending_index.add(record.topics(), record.sequence());
        }
        for outline in evicted {
            for topic in outline.topics() {
                pending_index.evicted(topic, outline.sequence);
            }
        }
    }

    fn sync_if_due(&mut self) {
        if let (Some(since), Durability::Write { sync_every }) = (self.unsynced, self.settings.durability) {
            if since.elapsed() >= sync_every {
                self.unsynced = None;
                // The error is noted: nothing is written any more.
                let _ = self.disk.sync();
            }
        }
    }

    /// The log is closed: nothing is left to be counted, and nothing only in the operating system's memory.
    fn finish(self) {
        let Writing { mut connection, rules, mut state, visible, disk, group_commit, checkpoint, .. } = self;
        // It acknowledges what waits.
        drop(group_commit);
        drop(checkpoint);
        if disk.failure().is_none() {
            let mut note = || -> rusqlite::Result<()> {
                let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
                topic_index::list(
                    &transaction,
                    &visible.pending_index(),
                    usize::MAX,
                    state.bounds.newest.sequence,
                )?;
                state.note(&transaction, &rules, true)?;
                transaction.commit()
            };
            if let Err(error) = note() {
                tracing::error!(%error, "the log could not be closed cleanly; nothing that was acknowledged is lost");
            }
            let _ = disk.sync();
        }
        // All acknowledged updates are in the write-ahead log, so that has to stay. The next process that opens the log reads it.
        if disk.failure().is_some() {
            if let Err(error) = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true) {
                tracing::error!(%error, "the write-ahead log cannot be kept");
            }
        }
    }
}

/// The results of a transaction for the batches that it took.
#[derive(Default)]
struct Made {
    outcomes: Vec<Appended>,
    rows: Vec<Row>,
    taken: Taken,
    listed: Rows,
    evicted: Evicted,
    /// Whether it failed since what was to be evicted is damaged.
    met_damage: bool,
    /// The state that it has led to, once it is committed.
    state: Option<State>,
}

enum Next {
    Request(Request),
    /// Nobody asked for anything in time.
    Nobody,
    End,
}

/// The first request, and up to `most` with those that wait after it: one commit serves all of them.
///
/// It does not wait for more: requests that come while it is written, or synced, are for the next commit.
fn gather(first: Request, waiting: &mut mpsc::Receiver<Request>, most: usize) -> Requests {
    let most = most.min(1 + waiting.len());
    let mut updates = first.batch.len();
    let mut requests = Requests { batches: Vec::with_capacity(most), waiters: Vec::with_capacity(most) };
    requests.push(first);
    while updates < MAX_COMMIT && requests.batches.len() < most {
        let Ok(next) = waiting.try_recv() else { break };
        updates += next.batch.len();
        requests.push(next);
    }
    requests
}

#[cfg(test)]
mod tests {
    use std::{
        future::Future,
        pin::pin,
        sync::atomic::AtomicUsize,
        task::{Context, Waker},
    };

    use tokio::sync::{Semaphore, oneshot};

    use super::*;
    use crate::{
        AttachmentLimits, Topic, Update,
        attachments::Unannounced,
        log::{
            Bounds, Fault, Turn,
            disk::{open_attachments, read::pending_index::PendingIndex, schema::tables},
            turns::Turns,
        },
    };

    fn writing(directory: &Path, connection: Connection, bounds: Bounds) -> (Writing, Arc<dyn Attachments>) {
        let database = directory.join("log.sqlite");
        let settings = DiskSettings::default();
        let rules = Rules::from(settings.retention.clone());
        let state = State::load(&connection, &rules, bounds).unwrap();
        let files: Arc<dyn Attachments> =
            Arc::new(open_attachments(directory, AttachmentLimits::default(), &connection).unwrap());
        let visible = Visible::new(bounds, PendingIndex::default());
        let clock = Clock::system();
        let writing =
            Writing::new(&database, connection, clock, settings, state, files.clone(), visible).unwrap();
        (writing, files)
    }

    fn request(
        files: &Arc<dyn Attachments>,
        turn: Turn,
    ) -> (Request, oneshot::Receiver<Result<Appended, LogError>>) {
        let update = Update::new(Topic::parse("t").unwrap(), "x".repeat(10_000));
        let (reply, answer) = oneshot::channel();
        let room = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        let files = Unannounced::of(files, [&update].into_iter());
        (Request { batch: vec![update.into()], waiter: Waiter { reply, files, room, turn } }, answer)
    }

    #[tokio::test]
    async fn a_batch_keeps_its_turn_although_its_publisher_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        let (connection, bounds) = tables::open(&directory.path().join("log.sqlite")).unwrap();
        let (mut writing, files) = writing(directory.path(), connection, bounds);
        let turns = Turns::default();
        let (gone, answer) = request(&files, turns.take(None, 1 << 20).await);
        drop(answer);
        let mut next = pin!(turns.take(None, 1 << 20));
        let mut has_turn = || next.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready();
        assert!(!has_turn(), "the batch still waits");
        let mut requests = Requests { batches: Vec::new(), waiters: Vec::new() };
        requests.push(gone);
        writing.write(requests, true);
        assert!(has_turn());
    }

    #[test]
    fn a_full_disk_is_met_once_by_the_publishes_that_wait_for_a_commit() {
        let directory = tempfile::tempdir().unwrap();
        let database = directory.path().join("log.sqlite");
        let (connection, bounds) = tables::open(&database).unwrap();
        let pages: u64 = connection.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
        connection.query_row(&format!("PRAGMA max_page_count = {pages}"), (), |_| Ok(())).unwrap();
        let failed = Arc::new(AtomicUsize::new(0));
        connection.rollback_hook(Some({
            let failed = failed.clone();
            move || {
                failed.fetch_add(1, Ordering::Relaxed);
            }
        }));
        let (mut writing, files) = writing(directory.path(), connection, bounds);
        let mut requests = Requests { batches: Vec::new(), waiters: Vec::new() };
        let mut answers = Vec::new();
        for _ in 0..20 {
            let (request, answer) = request(&files, Turn::default());
            requests.push(request);
            answers.push(answer);
        }
        writing.write(requests, true);
        for mut answer in answers {
            assert!(matches!(answer.try_recv(), Ok(Err(LogError::Full))));
        }
        assert_eq!(failed.load(Ordering::Relaxed), 2, "all of them, and the first of them");
        assert!(matches!(writing.disk.health(), Err(Fault { error: LogError::Full, .. })));
    }
}
