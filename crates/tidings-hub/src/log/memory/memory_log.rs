//! The log that keeps the newest records in memory, and loses them with the process.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, VecDeque},
    sync::{Arc, PoisonError, RwLock},
};

use tidings_codec::EventId;

use super::{
    evicted::Evicted,
    names::Names,
    retained::{Removed, Retained},
};
use crate::{
    Selector, Topic, Update,
    log::{
        Append, Appended, Bounds, Clock, Epoch, Fault, Following, IdempotencyKey, Limits, Log, LogFuture,
        Newest, Page, PageLimit, Position, Receipt, Record, RecordTime, Refused, Retention, Turn, Wear,
        open::{Kind, OpenError, Opened},
        publisher_names::{Named, again, names_of},
        record::receipt,
        retention::Totals,
        retention_rules::Rules,
        topic_index::TopicIndex,
    },
    model::topic_map::TopicMap,
};

/// A log in memory, for the chooser.
pub(in crate::log) const KIND: Kind = Kind {
    scheme: "memory",
    form: "memory:",
    parse: |rest| match rest {
        "" => Ok(None),
        _ => Err(format!("nothing follows \"memory:\", and this does: {rest:?}")),
    },
    open: |_, settings| {
        let unsuited = |setting, reason| OpenError::Unsuited { form: "memory:", setting, reason };
        if settings.durability.is_some() {
            return Err(unsuited("durability", "its updates end with the process"));
        }
        if settings.new_epoch {
            return Err(unsuited("new epoch", "each start of the process begins one"));
        }
        let retention = settings.retention(Retention::in_memory());
        let description = format!("in memory, {}; it ends with this process", retention.describe());
        Ok(Opened { log: Arc::new(MemoryLog::new(retention)), description, new_epoch: None })
    },
};

/// A [`Log`] in memory.
///
/// A publish is answered as soon as its records are in memory: they do not survive the process. Records beyond their
/// maximum age are evicted with the next append.
#[derive(Debug)]
pub struct MemoryLog {
    epoch: Epoch,
    rules: Rules,
    clock: Clock,
    state: RwLock<State>,
    newest: Newest,
}

#[derive(Debug)]
struct State {
    /// The kept records. Retention rules leave holes.
    records: Retained,
    newest: Position,
    whole: Totals,
    /// One for each rule of the retention, in its order.
    groups: Vec<Group>,
    /// Of those the ones to look at with the next append: they have got a record, or have more than they may.
    changed: Vec<usize>,
    /// When the age of a rule's first record may end, by the clock of ages, with the rule's number. At most one for each rule.
    due: BinaryHeap<Reverse<(u64, usize)>>,
    by_topic: TopicIndex,
    names: Names,
    /// Each closed topic with the record that closed it, evicted or not.
    closed: TopicMap<Arc<Record>>,
    /// The evicted ones among them, in order: readers of their topics still get them.
    evicted_closes: BTreeMap<u64, Arc<Record>>,
    /// The size of those in bytes.
    evicted_closes_cost: u64,
    evicted: Evicted,
}

/// The share of the byte limit for the names of evicted records, for closes, and for topics that have lost records: a
/// quotient for each.
const SHARE_OF_GONE: u64 = 8;

/// The records that a rule keeps.
#[derive(Debug, Clone, Default)]
struct Group {
    kept: Totals,
    /// Its records in order.
    sequences: VecDeque<u64>,
    /// Whether it is in [`State::due`].
    is_in_due: bool,
}

impl MemoryLog {
    /// An empty log, of an epoch of its own.
    ///
    /// # Panics
    /// When the operating system has no randomness to give.
    pub fn new(retention: Retention) -> MemoryLog {
        MemoryLog::with_clock(retention, Clock::system())
    }

    /// The same with a clock of one's own for the ages of records.
    ///
    /// # Panics
    /// When the operating system has no randomness to give.
    pub fn with_clock(retention: Retention, clock: Clock) -> MemoryLog {
        let rules = Rules::from(retention);
        let most = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        let share = most(rules.limits.bytes / SHARE_OF_GONE);
        let epoch = Epoch::random().expect("the operating system gives random bytes");
        MemoryLog {
            epoch,
            state: RwLock::new(State {
                records: Retained::default(),
                newest: Position::START,
                whole: Totals::default(),
                groups: vec![Group::default(); rules.rules.len()],
                changed: Vec::new(),
                due: BinaryHeap::new(),
                by_topic: TopicIndex::default(),
                names: Names::new(most(rules.names), share),
                closed: TopicMap::default(),
                evicted_closes: BTreeMap::new(),
                evicted_closes_cost: 0,
                evicted: Evicted::new(most(rules.topics), share),
            }),
            rules,
            clock,
            newest: Newest::at(0),
        }
    }

    fn read_state(&self) -> std::sync::RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryLog {
    fn default() -> MemoryLog {
        MemoryLog::new(Retention::in_memory())
    }
}

impl Log for MemoryLog {
    fn append(&self, batch: Vec<Append>) -> LogFuture<'_, Appended> {
        if batch.is_empty() {
            return Box::pin(std::future::ready(Ok(Appended::default())));
        }
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let mut appended = Appended { receipts: Vec::with_capacity(batch.len()), refused: None };
        let now = RecordTime::now();
        // Where nothing has an age, the clock that ages go by need not be looked at.
        let age_now = if self.rules.has_age() { self.clock.now() } else { now.as_millis() };
        for append in batch {
            match state.append(self.epoch, &self.rules, (now, age_now), append) {
                Ok(receipt) => appended.receipts.push(receipt),
                Err(refused) => {
                    appended.refused = Some(refused);
                    break;
                }
            }
        }
        state.evict(&self.rules, age_now);
        let newest = state.newest.sequence;
        drop(state);
        self.newest.set(newest);
        Box::pin(std::future::ready(Ok(appended)))
    }

    fn append_in_turn(&self, batch: Vec<Append>, _: Turn) -> LogFuture<'_, Appended> {
        self.append(batch)
    }

    fn read<'a>(&'a self, after: u64, selector: &'a Selector, limit: PageLimit) -> LogFuture<'a, Page> {
        let page = self.read_state().read(after, selector, limit);
        Box::pin(std::future::ready(Ok(page)))
    }

    fn record(&self, sequence: u64) -> LogFuture<'_, Option<Arc<Record>>> {
        let record = self.read_state().record(sequence).cloned();
        Box::pin(std::future::ready(Ok(record)))
    }

    fn find<'a>(&'a self, publisher_id: &'a str, selector: &'a Selector) -> LogFuture<'a, Option<u64>> {
        let sequence = self.read_state().names.find(publisher_id, selector);
        Box::pin(std::future::ready(Ok(sequence)))
    }

    fn closed<'a>(&'a self, topic: &'a Topic) -> LogFuture<'a, Option<Arc<Record>>> {
        let record = self.read_state().closed.get(topic).cloned();
        Box::pin(std::future::ready(Ok(record)))
    }

    fn bounds(&self) -> Bounds {
        let state = self.read_state();
        let (oldest, evicted) = (state.oldest(), state.evicted.last());
        Bounds { epoch: self.epoch, oldest, evicted, newest: state.newest }
    }

    fn health(&self) -> Result<(), Fault> {
        Ok(())
    }

    fn wear(&self) -> Wear {
        Wear { clock_jump: self.clock.jump(), ..Wear::default() }
    }

    fn follow(&self) -> Following {
        self.newest.follow()
    }
}

impl State {
    fn record(&self, sequence: u64) -> Option<&Arc<Record>> {
        self.records.get(sequence)
    }

    /// The first sequence that is kept, or the next one if none is.
    fn oldest(&self) -> u64 {
        self.records.oldest().unwrap_or(self.newest.sequence + 1)
    }

    fn append(
        &mut self,
        epoch: Epoch,
        rules: &Rules,
        (now, age_now): (RecordTime, u64),
        Append { mut update, key, time }: Append,
    ) -> Result<Receipt, Refused> {
        if let Some(receipt) = self.repeated(epoch, &update, key.as_ref())? {
            return Ok(receipt);
        }
        for topic in update.topics() {
            if let Some(close) = self.closed.get(topic) {
                let reason = close.event().data().to_owned();
                return Err(Refused::Closed { topic: topic.as_str().to_owned(), reason });
            }
        }

        let sequence = self.newest.sequence + 1;
        // A body that came in parts has grown, and may have twice the room that it needs.
        update.shrink_to_fit();
        let record = Arc::new(Record::new(epoch, sequence, time.unwrap_or(now), update));
        self.by_topic.push(record.topics(), sequence);
        if record.is_close() {
            self.closed.extend(record.topics().iter().map(|topic| (topic.clone(), record.clone())));
        }
        self.names.add(&record, key.as_ref());
        self.whole.add(record.cost());
        let rule = if record.is_close() { None } else { rules.of(&record.topics()[0]) };
        if let Some(rule) = rule {
            self.groups[rule].kept.add(record.cost());
            self.groups[rule].sequences.push_back(sequence);
            if self.changed.last() != Some(&rule) {
                self.changed.push(rule);
            }
        }
        self.newest = record.position();
        let receipt = receipt(&record, false);
        self.records.push(record, age_now, key, rule);
        Ok(receipt)
    }

    /// The receipt of the first time, if `update` was appended before under its key or its ID.
    fn repeated(
        &self,
        epoch: Epoch,
        update: &Update,
        key: Option<&IdempotencyKey>,
    ) -> Result<Option<Receipt>, Refused> {
        let id = update.event().id().map(EventId::as_str);
        for (kind, name, topic) in names_of(update.topics(), id, key) {
            let again = match self.names.get(kind, name, topic) {
                Some(Named::Kept(sequence)) => self.record(*sequence).map(|record| again(record, update)),
                Some(Named::Gone(gone)) => Some(gone.again(epoch, update)),
                None => None,
            };
            match again {
                Some(Some(receipt)) => return Ok(Some(receipt)),
                Some(None) => return Err(kind.refuse(name)),
                None => {}
            }
        }
        // Closing a closed topic for the same reason is the same close.
        if update.is_close() {
            let close = update.topics().iter().find_map(|topic| self.closed.get(topic));
            if let Some(close) = close.filter(|close| close.says_the_same_as(update)) {
                return Ok(Some(receipt(close, true)));
            }
        }
        Ok(None)
    }

    fn evict(&mut self, rules: &Rules, now: u64) {
        let expired = rules.limits.expired_before(now);
        while self.is_too_much(&rules.limits) || self.is_older(self.oldest(), expired) {
            if !self.remove(rules, self.oldest()) {
                break;
            }
        }
        let mut changed = std::mem::take(&mut self.changed);
        while let Some(Reverse((_, number))) = self.due.peek().filter(|Reverse((due, _))| *due < now) {
            changed.push(*number);
            self.groups[*number].is_in_due = false;
            self.due.pop();
        }
        changed.retain(|number| !self.evict_of(rules, *number, now));
        self.changed = changed;
    }

    /// Whether another record must be evicted. The records have the room that the other tables leave.
    fn is_too_much(&mut self, limits: &Limits) -> bool {
        let beside = self.by_topic.cost() + self.names.cost() + self.evicted.cost();
        let bytes = limits.bytes.saturating_sub(beside as u64 + self.evicted_closes_cost);
        self.whole.is_too_much(&Limits { bytes, ..*limits })
    }

    /// Remembers the close of a record that is gone. When there are too many of those, the longest gone are forgotten.
    fn remember_close(&mut self, rules: &Rules, close: Arc<Record>) {
        self.evicted_closes_cost += close.cost();
        self.evicted_closes.insert(close.sequence(), close);
        let most = rules.limits.bytes / SHARE_OF_GONE;
        while self.evicted_closes.len() as u64 > rules.topics || self.evicted_closes_cost > most {
            let Some((sequence, record)) = self.evicted_closes.pop_first() else { break };
            self.evicted_closes_cost -= record.cost();
            for topic in record.topics() {
                self.closed.remove(topic);
            }
            self.evicted.note(record.topics(), sequence);
        }
    }

    /// Evicts what a rule has too much of; false if something has to stay for now.
    fn evict_of(&mut self, rules: &Rules, number: usize, now: u64) -> bool {
        let limits = &rules.rules[number].limits;
        let expired = limits.expired_before(now);
        while let Some(oldest) = self.groups[number].sequences.front().copied() {
            if !(self.groups[number].kept.is_too_much(limits) || self.is_older(oldest, expired)) {
                break;
            }
            if !self.remove(rules, oldest) {
                return false;
            }
        }
        let group = &mut self.groups[number];
        let first = group.sequences.front().and_then(|oldest| self.records.age_begins(*oldest));
        if let (Some(age), Some(from), false) = (limits.age_ms(), first, group.is_in_due) {
            group.is_in_due = true;
            self.due.push(Reverse((from.saturating_add(age), number)));
        }
        true
    }

    fn is_older(&self, sequence: u64, expired: u64) -> bool {
        self.records.age_begins(sequence).is_some_and(|from| from < expired)
    }

    /// Evicts a record, unless it is the newest one, which is always kept.
    fn remove(&mut self, rules: &Rules, sequence: u64) -> bool {
        if sequence == self.newest.sequence {
            return false;
        }
        let Some(Removed { record, key, rule }) = self.records.remove(sequence) else { return false };
        self.whole.remove(record.cost());
        if let Some(rule) = rule {
            let group = &mut self.groups[rule];
            group.kept.remove(record.cost());
            // Whether it goes with the whole log or for its rule, the oldest one goes.
            let oldest = group.sequences.pop_front();
            debug_assert_eq!(oldest, Some(sequence), "the first of a rule goes first");
        }
        self.names.evict(&record, key.as_ref());
        self.by_topic.remove(record.topics(), sequence);
        if record.is_close() {
            self.remember_close(rules, record);
        } else {
            self.evicted.note(record.topics(), sequence);
        }
        true
    }

    fn read(&self, after: u64, selector: &Selector, limit: PageLimit) -> Page {
        let mut page = Page {
            records: Vec::new(),
            reached: self.newest,
            lost: self.evicted.lost(selector, after),
            oldest: self.oldest(),
        };
        let mut bytes = 0;
        // False when the page is full. It then has all matching records up to its last one.
        let mut take = |record: &Arc<Record>| {
            if limit.is_reached(page.records.len(), bytes) {
                page.reached = page.records.last().map_or(page.reached, |last| last.position());
                return false;
            }
            bytes += record.event().data().len();
            page.records.push(record.clone());
            true
        };

        if selector.is_exact() {
            let closes = selector.topics().iter().filter_map(|topic| self.closed.get(topic));
            let mut closes: Vec<_> =
                closes.filter(|close| (after + 1..self.oldest()).contains(&close.sequence())).collect();
            closes.sort_by_key(|close| close.sequence());
            let kept = self.by_topic.after(selector, after).filter_map(|sequence| self.record(sequence));
            let _ = closes.into_iter().chain(kept).all(take);
        } else {
            let wanted = |record: &&Arc<Record>| selector.matches(record.topics());
            let closes = self.evicted_closes.range(after + 1..).map(|(_, record)| record);
            let mut last_scanned = None;
            let scanned = self.records.from(after + 1).take(MAX_SCANNED);
            let scanned = scanned.inspect(|record| last_scanned = Some(record.position()));
            if closes.chain(scanned).filter(wanted).all(&mut take) {
                page.reached = last_scanned.unwrap_or(page.reached);
            }
        }
        page
    }
}

/// How many records one page of a pattern looks at, so that readers never hold the lock for long.
const MAX_SCANNED: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nothing_remains_of_records_that_a_rule_evicts() {
        let rules = vec!["often=2".parse().unwrap()];
        let retention = Retention { limits: Limits::default(), rules, topics: 10, names: 10 };
        let log = MemoryLog::new(retention);
        for name in ["rare", "often"].into_iter().chain(["often"; 1000]) {
            log.append(vec![Update::new(Topic::parse(name).unwrap(), "").into()]).await.unwrap();
        }
        let state = log.read_state();
        assert_eq!(state.oldest(), 1);
        assert_eq!((state.records.len(), state.by_topic.len(), state.groups[0].sequences.len()), (3, 2, 2));
    }
}
