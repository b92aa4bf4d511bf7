//! Writing: one thread that commits whatever waits, and evicts in small steps.

use std::{
    io,
    sync::{Arc, PoisonError, RwLock},
    thread::{self, JoinHandle},
    time::{SystemTime, UNIX_EPOCH},
};

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior};
use tokio::sync::{mpsc, oneshot, watch};

use super::{
    DiskLimits, failed,
    pages::{CLOSE, PRIVATE, Pages},
};
use crate::{
    Topic,
    log::{Append, Appended, Bounds, Epoch, IdempotencyKey, LogError, Place, Receipt, Record, Refused},
};

/// How many publishes may wait for the writer; more wait outside, and with them their publishers' sockets.
const MAX_WAITING: usize = 1024;

/// One commit takes no more requests once it has this many updates, so that the first of them is not answered late.
const MAX_COMMIT: usize = 4096;

/// How many records one commit evicts at the most, so that no publish waits for a large eviction.
const EVICTION_STEP: u64 = 512;

/// How many free pages are given back to the file system with one commit.
const VACUUM_STEP: u32 = 256;

/// A batch to be appended, and where to answer.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) batch: Vec<Append>,
    pub(super) reply: oneshot::Sender<Result<Appended, LogError>>,
}

/// The handle of the writing thread; dropping it waits for the thread.
#[derive(Debug)]
pub(super) struct Writer {
    requests: Option<mpsc::Sender<Request>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(
        connection: Connection,
        epoch: Epoch,
        limits: DiskLimits,
        bounds: Arc<RwLock<Bounds>>,
        newest: watch::Sender<u64>,
    ) -> io::Result<Writer> {
        let (requests, waiting) = mpsc::channel(MAX_WAITING);
        let writing = Writing { connection, epoch, limits, bounds, newest };
        let thread = thread::Builder::new().name("tidings-log".into()).spawn(move || writing.run(waiting))?;
        Ok(Writer { requests: Some(requests), thread: Some(thread) })
    }

    pub(super) async fn send(&self, request: Request) -> Result<(), LogError> {
        match &self.requests {
            Some(requests) => requests.send(request).await.map_err(|_| gone()),
            None => Err(gone()),
        }
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
    epoch: Epoch,
    limits: DiskLimits,
    bounds: Arc<RwLock<Bounds>>,
    newest: watch::Sender<u64>,
}

impl Writing {
    fn run(mut self, mut waiting: mpsc::Receiver<Request>) {
        while let Some(first) = waiting.blocking_recv() {
            let mut updates = first.batch.len();
            let mut requests = vec![first];
            while updates < MAX_COMMIT {
                let Ok(next) = waiting.try_recv() else { break };
                updates += next.batch.len();
                requests.push(next);
            }
            let (batches, replies): (Vec<_>, Vec<_>) =
                requests.into_iter().map(|request| (request.batch, request.reply)).unzip();
            let mut committed = match self.commit(batches) {
                Ok((outcomes, committed)) => {
                    self.publish(committed.bounds);
                    for (reply, outcome) in replies.into_iter().zip(outcomes) {
                        // Whoever has stopped waiting has its updates in the log all the same.
                        let _ = reply.send(Ok(outcome));
                    }
                    committed
                }
                Err(error) => {
                    let error = failed(error);
                    for reply in replies {
                        let _ = reply.send(Err(error.clone()));
                    }
                    continue;
                }
            };
            // For as long as there is too much and nobody waits.
            while committed.more_to_evict && waiting.is_empty() {
                committed = match self.commit(Vec::new()) {
                    Ok((_, committed)) => committed,
                    Err(error) => {
                        tracing::error!(%error, "old records can't be evicted");
                        break;
                    }
                };
                self.publish(committed.bounds);
            }
        }
    }

    /// Appends all batches in one transaction; they are on the disk when it returns.
    fn commit(&mut self, batches: Vec<Vec<Append>>) -> rusqlite::Result<(Vec<Appended>, Committed)> {
        let (epoch, limits) = (self.epoch, self.limits);
        let before = *self.bounds.read().unwrap_or_else(PoisonError::into_inner);
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // The writer sees what it has written, announced or not.
        let pages = Pages { connection: &transaction, epoch, newest: Place::unchecked(u64::MAX) };
        let mut appending = Appending { transaction: &transaction, pages, newest: before.newest, bytes: 0 };
        let outcomes = batches
            .into_iter()
            .map(|batch| appending.append_batch(batch))
            .collect::<rusqlite::Result<_>>()?;
        let (newest, bytes) = (appending.newest, appending.bytes);
        if bytes > 0 {
            transaction.prepare_cached("UPDATE log SET bytes = bytes + ?")?.execute([bytes])?;
        }
        let (oldest, more_to_evict) = evict(&transaction, pages, limits, before.oldest, newest.sequence)?;
        transaction.commit()?;
        Ok((outcomes, Committed { bounds: Bounds { epoch, oldest, newest }, more_to_evict }))
    }

    /// Lets readers see what is committed.
    fn publish(&self, bounds: Bounds) {
        *self.bounds.write().unwrap_or_else(PoisonError::into_inner) = bounds;
        self.newest.send_if_modified(|newest| {
            let changed = *newest != bounds.newest.sequence;
            *newest = bounds.newest.sequence;
            changed
        });
    }
}

/// What a transaction has led to.
struct Committed {
    bounds: Bounds,
    more_to_evict: bool,
}

/// The appends of one transaction.
struct Appending<'a> {
    transaction: &'a Transaction<'a>,
    pages: Pages<'a>,
    newest: Place,
    bytes: u64,
}

impl Appending<'_> {
    fn append_batch(&mut self, batch: Vec<Append>) -> rusqlite::Result<Appended> {
        let mut appended = Appended { receipts: Vec::with_capacity(batch.len()), refused: None };
        for append in batch {
            match self.append(append)? {
                Ok(receipt) => appended.receipts.push(receipt),
                Err(refused) => {
                    appended.refused = Some(refused);
                    break;
                }
            }
        }
        Ok(appended)
    }

    fn append(&mut self, append: Append) -> rusqlite::Result<Result<Receipt, Refused>> {
        if let Some(earlier) = self.repeated(&append)? {
            return Ok(earlier);
        }
        for topic in append.update.topics() {
            if let Some(close) = self.pages.closed(topic)? {
                let reason = close.event().data().to_owned();
                if append.update.is_close() && close.says_the_same_as(&append.update) {
                    return Ok(Ok(receipt(&close, true)));
                }
                return Ok(Err(Refused::Closed { topic: topic.as_str().to_owned(), reason }));
            }
        }
        let record =
            Record::new(self.pages.epoch, self.newest.sequence + 1, SystemTime::now(), append.update);
        self.insert(&record, append.key.as_ref().map(IdempotencyKey::as_str))?;
        self.newest = record.place();
        self.bytes += record.cost();
        Ok(Ok(receipt(&record, false)))
    }

    /// The answer of the first time, if the update was appended before under its key or its ID.
    fn repeated(&self, append: &Append) -> rusqlite::Result<Option<Result<Receipt, Refused>>> {
        let answer = |sequence: u64, refused: Refused| -> rusqlite::Result<_> {
            let record = self.pages.record(sequence)?;
            Ok(record.map(|record| match record.says_the_same_as(&append.update) {
                true => Ok(receipt(&record, true)),
                false => Err(refused),
            }))
        };
        if let Some(key) = &append.key {
            if let Some(sequence) = self.pages.by_key(key.as_str())? {
                return answer(sequence, Refused::KeyReused { key: key.as_str().to_owned() });
            }
        }
        if let Some(id) = append.update.event().id() {
            if let Some(sequence) = self.pages.find(id.as_str())? {
                return answer(sequence, Refused::IdTaken { id: id.as_str().to_owned() });
            }
        }
        Ok(None)
    }

    fn insert(&self, record: &Record, key: Option<&str>) -> rusqlite::Result<()> {
        let event = record.event();
        let topics = record.topics().iter().map(Topic::as_str).collect::<Vec<_>>().join("\n");
        let flags = (i64::from(record.is_private()) * PRIVATE) | (i64::from(record.is_close()) * CLOSE);
        let retry = event.retry().map(|retry| i64::try_from(retry.as_millis()).unwrap_or(i64::MAX));
        let time = milliseconds(record);
        self.transaction
            .prepare_cached("INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")?
            .execute((
                record.sequence(),
                time,
                flags,
                retry,
                topics,
                event.event_type(),
                event.data(),
                record.publisher_id(),
                key,
                record.check(),
            ))?;
        let mut of_topic = self.transaction.prepare_cached("INSERT INTO topics VALUES (?, ?)")?;
        for topic in record.topics() {
            of_topic.execute((topic.as_str(), record.sequence()))?;
            if record.is_close() {
                self.transaction.prepare_cached("INSERT INTO closed VALUES (?, ?, ?, ?)")?.execute((
                    topic.as_str(),
                    record.sequence(),
                    time,
                    event.data(),
                ))?;
            }
        }
        Ok(())
    }
}

fn receipt(record: &Record, repeated: bool) -> Receipt {
    Receipt { id: record.id().to_owned(), sequence: record.sequence(), repeated }
}

fn milliseconds(record: &Record) -> i64 {
    let since_1970 = record.time().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX)
}

/// Evicts at most a step of what is over the limits; gives back the oldest sequence that is kept, and whether there is
/// more to evict.
fn evict(
    transaction: &Transaction<'_>,
    pages: Pages<'_>,
    limits: DiskLimits,
    oldest: u64,
    newest: u64,
) -> rusqlite::Result<(u64, bool)> {
    let bytes: u64 = transaction.prepare_cached("SELECT bytes FROM log")?.query_row((), |row| row.get(0))?;
    let count = newest + 1 - oldest;
    let (mut over_count, mut over_bytes) =
        (count.saturating_sub(limits.records), bytes.saturating_sub(limits.bytes));
    let (mut kept_from, mut freed) = (oldest, 0);
    // The newest record stays, whatever the limits say: the log goes on from its sequence.
    while (over_count > 0 || over_bytes > 0) && kept_from < newest && kept_from - oldest < EVICTION_STEP {
        if let Some(record) = pages.record(kept_from)? {
            for topic in record.topics() {
                transaction
                    .prepare_cached("DELETE FROM topics WHERE topic = ? AND sequence = ?")?
                    .execute((topic.as_str(), kept_from))?;
                if !record.is_close() {
                    transaction
                        .prepare_cached("INSERT OR REPLACE INTO evicted VALUES (?, ?)")?
                        .execute((topic.as_str(), kept_from))?;
                }
            }
            transaction.prepare_cached("DELETE FROM records WHERE sequence = ?")?.execute([kept_from])?;
            freed += record.cost();
            over_bytes = over_bytes.saturating_sub(record.cost());
        }
        over_count = over_count.saturating_sub(1);
        kept_from += 1;
    }
    if kept_from > oldest {
        transaction
            .prepare_cached("UPDATE log SET bytes = bytes - ?, evicted = ?")?
            .execute((freed, kept_from - 1))?;
        forget_oldest_marks(transaction, limits.topics)?;
        transaction.pragma_update(None, "incremental_vacuum", VACUUM_STEP)?;
    }
    Ok((kept_from, (over_count > 0 || over_bytes > 0) && kept_from < newest))
}

/// Keeps the table of marks within its bound; what leaves it counts as evicted up to the last mark that left.
fn forget_oldest_marks(transaction: &Transaction<'_>, most: u64) -> rusqlite::Result<()> {
    let count: u64 =
        transaction.prepare_cached("SELECT count(*) FROM evicted")?.query_row((), |row| row.get(0))?;
    if count <= most {
        return Ok(());
    }
    let floor: Option<u64> = transaction
        .prepare_cached("SELECT sequence FROM evicted ORDER BY sequence LIMIT 1 OFFSET ?")?
        .query_row([count - most - 1], |row| row.get(0))
        .optional()?;
    if let Some(floor) = floor {
        transaction.prepare_cached("DELETE FROM evicted WHERE sequence <= ?")?.execute([floor])?;
        transaction
            .prepare_cached("UPDATE log SET evicted_floor = max(evicted_floor, ?)")?
            .execute([floor])?;
    }
    Ok(())
}
