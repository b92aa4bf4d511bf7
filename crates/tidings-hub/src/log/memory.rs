//! The log that keeps the newest records in memory, and loses them with the process.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{Arc, PoisonError, RwLock},
    time::SystemTime,
};

use tokio::sync::watch;

use super::{
    Append, Appended, Bounds, Epoch, IdempotencyKey, Log, LogFuture, Page, PageLimit, Place, Receipt, Record,
    Refused, evicted::Evicted, merge::Merge,
};
use crate::{Interest, Topic, Update};

/// How much a [`MemoryLog`] keeps; the oldest records are evicted when there is more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryLimits {
    /// The most records. Default: 1,000,000.
    pub records: usize,
    /// The most bytes, structures included (an estimate: see [`Record::cost`]). Default: 256 MiB.
    pub bytes: u64,
    /// How many closed topics are remembered after their records are gone, and for how many topics it is known when
    /// their last record went (the longest gone are forgotten, and count as gone with the last of those). Default: 65,536.
    pub topics: usize,
}

impl Default for MemoryLimits {
    fn default() -> MemoryLimits {
        MemoryLimits { records: 1_000_000, bytes: 256 << 20, topics: 65_536 }
    }
}

/// A [`Log`] in memory.
///
/// A publish is answered as soon as its records are in memory: it survives nothing that ends the process.
#[derive(Debug)]
pub struct MemoryLog {
    epoch: Epoch,
    limits: MemoryLimits,
    state: RwLock<State>,
    newest: watch::Sender<u64>,
}

#[derive(Debug)]
struct State {
    /// What is kept, without holes: the first has sequence `oldest`.
    records: VecDeque<Kept>,
    oldest: u64,
    /// The place of the last record, also when it is evicted.
    newest: Place,
    bytes: u64,
    by_topic: HashMap<Topic, VecDeque<u64>>,
    by_id: HashMap<String, u64>,
    by_key: HashMap<IdempotencyKey, u64>,
    /// Each closed topic with the record that closed it, evicted or not.
    closed: HashMap<Topic, Arc<Record>>,
    /// Of those the evicted ones, in order: they are still read by those who ask for their topic.
    evicted_closes: BTreeMap<u64, Arc<Record>>,
    evicted: Evicted,
}

#[derive(Debug)]
struct Kept {
    record: Arc<Record>,
    key: Option<IdempotencyKey>,
}

impl MemoryLog {
    /// An empty log, of an epoch of its own.
    ///
    /// # Panics
    /// When the operating system has no randomness to give.
    pub fn new(limits: MemoryLimits) -> MemoryLog {
        let epoch = Epoch::random().expect("the operating system gives random bytes");
        MemoryLog {
            epoch,
            limits,
            state: RwLock::new(State {
                records: VecDeque::new(),
                oldest: 1,
                newest: Place::START,
                bytes: 0,
                by_topic: HashMap::new(),
                by_id: HashMap::new(),
                by_key: HashMap::new(),
                closed: HashMap::new(),
                evicted_closes: BTreeMap::new(),
                evicted: Evicted::new(limits.topics),
            }),
            newest: watch::Sender::new(0),
        }
    }

    fn read_state(&self) -> std::sync::RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryLog {
    fn default() -> MemoryLog {
        MemoryLog::new(MemoryLimits::default())
    }
}

impl Log for MemoryLog {
    fn append(&self, batch: Vec<Append>) -> LogFuture<'_, Appended> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let mut appended = Appended { receipts: Vec::with_capacity(batch.len()), refused: None };
        for append in batch {
            match state.append(self.epoch, append) {
                Ok(receipt) => appended.receipts.push(receipt),
                Err(refused) => {
                    appended.refused = Some(refused);
                    break;
                }
            }
        }
        state.evict(&self.limits);
        // Still under the lock, so that followers never see it go backwards.
        self.newest.send_if_modified(|newest| {
            let changed = *newest != state.newest.sequence;
            *newest = state.newest.sequence;
            changed
        });
        drop(state);
        Box::pin(std::future::ready(Ok(appended)))
    }

    fn read<'a>(&'a self, after: u64, interest: &'a Interest, limit: PageLimit) -> LogFuture<'a, Page> {
        let page = self.read_state().read(after, interest, limit);
        Box::pin(std::future::ready(Ok(page)))
    }

    fn record(&self, sequence: u64) -> LogFuture<'_, Option<Arc<Record>>> {
        let record = self.read_state().record(sequence).cloned();
        Box::pin(std::future::ready(Ok(record)))
    }

    fn find<'a>(&'a self, publisher_id: &'a str) -> LogFuture<'a, Option<u64>> {
        let sequence = self.read_state().by_id.get(publisher_id).copied();
        Box::pin(std::future::ready(Ok(sequence)))
    }

    fn closed<'a>(&'a self, topic: &'a Topic) -> LogFuture<'a, Option<Arc<Record>>> {
        let record = self.read_state().closed.get(topic).cloned();
        Box::pin(std::future::ready(Ok(record)))
    }

    fn bounds(&self) -> Bounds {
        let state = self.read_state();
        Bounds { epoch: self.epoch, oldest: state.oldest, newest: state.newest }
    }

    fn follow(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }
}

impl State {
    fn record(&self, sequence: u64) -> Option<&Arc<Record>> {
        let index = usize::try_from(sequence.checked_sub(self.oldest)?).ok()?;
        self.records.get(index).map(|kept| &kept.record)
    }

    fn append(&mut self, epoch: Epoch, Append { update, key }: Append) -> Result<Receipt, Refused> {
        if let Some(receipt) = self.repeated(&update, key.as_ref())? {
            return Ok(receipt);
        }
        for topic in update.topics() {
            if let Some(close) = self.closed.get(topic) {
                let reason = close.event().data().to_owned();
                return Err(Refused::Closed { topic: topic.as_str().to_owned(), reason });
            }
        }

        let sequence = self.newest.sequence + 1;
        let record = Arc::new(Record::new(epoch, sequence, SystemTime::now(), update));
        for topic in record.topics() {
            self.by_topic.entry(topic.clone()).or_default().push_back(sequence);
            if record.is_close() {
                self.closed.insert(topic.clone(), record.clone());
            }
        }
        if let Some(id) = record.publisher_id() {
            self.by_id.insert(id.to_owned(), sequence);
        }
        if let Some(key) = &key {
            self.by_key.insert(key.clone(), sequence);
        }
        self.bytes += record.cost();
        self.newest = record.place();
        let receipt = Receipt { id: record.id().to_owned(), sequence, repeated: false };
        self.records.push_back(Kept { record, key });
        Ok(receipt)
    }

    /// The receipt of the first time, if `update` was appended before under its key or its ID.
    fn repeated(&self, update: &Update, key: Option<&IdempotencyKey>) -> Result<Option<Receipt>, Refused> {
        let again = |sequence: u64| {
            let record = self.record(sequence)?;
            let receipt = Receipt { id: record.id().to_owned(), sequence, repeated: true };
            Some((record.says_the_same_as(update), receipt))
        };
        if let Some(key) = key {
            if let Some((same, receipt)) = self.by_key.get(key).copied().and_then(again) {
                let refused = Refused::KeyReused { key: key.as_str().to_owned() };
                return if same { Ok(Some(receipt)) } else { Err(refused) };
            }
        }
        if let Some(id) = update.event().id() {
            if let Some((same, receipt)) = self.by_id.get(id.as_str()).copied().and_then(again) {
                let refused = Refused::IdTaken { id: id.as_str().to_owned() };
                return if same { Ok(Some(receipt)) } else { Err(refused) };
            }
        }
        // Closing a closed topic for the same reason is the same close.
        if update.is_close() {
            let close = update.topics().iter().find_map(|topic| self.closed.get(topic));
            if let Some(close) = close.filter(|close| close.says_the_same_as(update)) {
                let receipt =
                    Receipt { id: close.id().to_owned(), sequence: close.sequence(), repeated: true };
                return Ok(Some(receipt));
            }
        }
        Ok(None)
    }

    fn evict(&mut self, limits: &MemoryLimits) {
        while self.records.len() > limits.records || self.bytes > limits.bytes {
            let Some(Kept { record, key }) = self.records.pop_front() else { break };
            self.oldest += 1;
            self.bytes -= record.cost();
            if let Some(id) = record.publisher_id() {
                self.by_id.remove(id);
            }
            if let Some(key) = key {
                self.by_key.remove(&key);
            }
            for topic in record.topics() {
                if let Some(sequences) = self.by_topic.get_mut(topic) {
                    sequences.pop_front();
                    if sequences.is_empty() {
                        self.by_topic.remove(topic);
                    }
                }
            }
            if record.is_close() {
                self.evicted_closes.insert(record.sequence(), record);
            } else {
                self.evicted.note(record.topics(), record.sequence());
            }
        }
        while self.evicted_closes.len() > limits.topics {
            let Some((sequence, record)) = self.evicted_closes.pop_first() else { break };
            for topic in record.topics() {
                self.closed.remove(topic);
            }
            self.evicted.note(record.topics(), sequence);
        }
    }

    fn read(&self, after: u64, interest: &Interest, limit: PageLimit) -> Page {
        let mut page = Page {
            records: Vec::new(),
            reached: self.newest,
            lost: self.evicted.may_miss(interest, after),
            oldest: self.oldest,
        };
        let mut bytes = 0;
        // False when the page is full; what is in it then is all that matches up to its last record.
        let mut take = |record: &Arc<Record>| {
            if page.records.len() == limit.records.max(1) || (bytes >= limit.bytes && bytes > 0) {
                page.reached = page.records.last().map_or(page.reached, |last| last.place());
                return false;
            }
            bytes += record.event().data().len();
            page.records.push(record.clone());
            true
        };

        if interest.is_exact() {
            let lists =
                interest.topics().iter().filter_map(|topic| self.by_topic.get(topic)).map(|sequences| {
                    sequences.range(sequences.partition_point(|sequence| *sequence <= after)..).copied()
                });
            let closes = interest.topics().iter().filter_map(|topic| self.closed.get(topic));
            let mut closes: Vec<_> =
                closes.filter(|close| (after + 1..self.oldest).contains(&close.sequence())).collect();
            closes.sort_by_key(|close| close.sequence());
            let kept = Merge::new(lists).filter_map(|sequence| self.record(sequence));
            let _ = closes.into_iter().chain(kept).all(take);
        } else {
            let wanted = |record: &&Arc<Record>| interest.matches(record.topics());
            let closes = self.evicted_closes.range(after + 1..).map(|(_, record)| record);
            let seen = usize::try_from((after + 1).saturating_sub(self.oldest)).unwrap_or(usize::MAX);
            let unseen = self.records.range(seen.min(self.records.len())..);
            let scanned = unseen.take(MAX_SCANNED).map(|kept| &kept.record);
            let last_scanned = scanned.clone().next_back().map(|record| record.place());
            if closes.chain(scanned).filter(wanted).all(&mut take) {
                page.reached = last_scanned.unwrap_or(page.reached);
            }
        }
        page
    }
}

/// How many records one page of a pattern looks at, so that readers never hold the lock for long.
const MAX_SCANNED: usize = 10_000;
