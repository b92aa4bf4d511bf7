//! Updates with the extremes of every field, and a check that a log gives back what it has acknowledged.
//!
//! A seed makes the same updates each time. So a failure says its seed, and `TIDINGS_SEED` repeats it.

use std::{
    collections::{HashMap, HashSet},
    env,
    sync::Arc,
    time::{Duration, SystemTime},
};

use crate::{
    MAX_NAME_BYTES, MAX_TOPIC_BYTES, Selector, Topic, TopicFilter, Update, UpdateId, UpdateRetry, UpdateType,
    log::{Append, Appended, IdempotencyKey, Log, PageLimit, Receipt, Record, RecordTime, Refused},
};

/// Random choices that a seed repeats.
///
/// SplitMix64, as it needs no dependency and no more than a number.
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    /// The choices of a seed.
    pub fn of(seed: u64) -> Random {
        Random(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, which is at least 1.
    pub fn below(&mut self, end: usize) -> usize {
        let number = self.next() % end as u64;
        usize::try_from(number).unwrap_or_default()
    }

    /// True once in `times`.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// One of `choices`, of which there is at least one.
    pub fn one_of<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len())]
    }

    /// A character of any class: ends of lines, controls, spaces, marks, other directions, noncharacters, other planes.
    pub fn character(&mut self) -> char {
        const ODD: &str = "\0\u{1}\t\n\r\u{b}\u{1b}\u{7f}\u{85}\u{a0}\u{ad} !\"#%&'*+,/:;<=>?@[\\]^`{|}~09azAZäß\u{301}\u{5d0}\
                           \u{661}\u{200b}\u{200d}\u{200e}\u{2028}\u{2029}\u{202e}\u{e000}\u{fdd0}\u{feff}\u{fffd}\u{ffff}\
                           \u{10000}\u{1f600}\u{1f1e9}\u{e0001}\u{10ffff}";
        match self.below(3) {
            0 => char::from(b' ' + u8::try_from(self.below(95)).unwrap_or_default()),
            1 => ODD.chars().nth(self.below(ODD.chars().count())).unwrap_or('x'),
            _ => loop {
                if let Some(character) = u32::try_from(self.below(0x11_0000)).ok().and_then(char::from_u32) {
                    break character;
                }
            },
        }
    }

    /// A text of up to `most` bytes, often empty or as long as it may be.
    pub fn text(&mut self, most: usize, allowed: impl Fn(char) -> bool) -> String {
        let bytes = match self.below(8) {
            0 => 0,
            1 => most,
            _ => self.below(most.min(40) + 1),
        };
        let mut text = String::new();
        while text.len() < bytes {
            let character = self.character();
            if allowed(character) && text.len() + character.len_utf8() <= bytes {
                text.push(character);
            } else if bytes - text.len() < 4 {
                text.push('x');
            }
        }
        text
    }

    /// A topic that any log takes.
    pub fn topic(&mut self) -> Topic {
        loop {
            let text = match self.below(4) {
                0 => format!("p/{}", self.below(20)),
                1 => format!("p/{}/{}", self.below(5), self.text(30, |character| !character.is_control())),
                _ => self.text(MAX_TOPIC_BYTES, |character| !character.is_control() && character != '*'),
            };
            if let Ok(topic) = Topic::parse(&text) {
                break topic;
            }
        }
    }

    /// Data, seldom long.
    pub fn data(&mut self) -> String {
        let most = if self.once_in(500) { 300_000 } else { 2_000 };
        self.text(most, |_| true)
    }

    /// An event type, or none.
    pub fn event_type(&mut self) -> Option<UpdateType> {
        if self.once_in(2) {
            return None;
        }
        UpdateType::parse(&self.text(MAX_NAME_BYTES, |character| !character.is_control())).ok()
    }

    /// A reconnection time, or none.
    pub fn retry(&mut self, most: Duration) -> Option<UpdateRetry> {
        let retry = match self.below(8) {
            0 => UpdateRetry::MIN,
            1 => most,
            2 => UpdateRetry::MIN + Duration::from_millis(self.below(1_000_000) as u64),
            _ => return None,
        };
        UpdateRetry::parse(retry, most).ok()
    }

    /// Printable ASCII that no other number gives, up to the longest.
    pub fn name(&mut self, number: usize) -> String {
        let mut name = format!("{number:x}.");
        name += &self.text(MAX_NAME_BYTES - name.len(), |character| matches!(character, '!'..='~'));
        name
    }

    /// A time, or none: the first, the last, or one near now.
    pub fn time(&mut self) -> Option<RecordTime> {
        let now = RecordTime::now().as_millis();
        let day = 24 * 60 * 60 * 1000;
        match self.below(10) {
            0 => Some(RecordTime::MIN),
            1 => Some(RecordTime::MAX),
            2 => Some(RecordTime::stored(now - self.below(900 * day) as u64)),
            3 => Some(RecordTime::stored(now + self.below(900 * day) as u64)),
            _ => None,
        }
    }
}

/// How many updates a test generates: `TIDINGS_UPDATES`, or `short`.
pub fn updates(short: usize) -> usize {
    env::var("TIDINGS_UPDATES").map_or(short, |count| count.parse().expect("TIDINGS_UPDATES is a number"))
}

/// The seed of a test: `TIDINGS_SEED`, or 1.
pub fn seed() -> u64 {
    env::var("TIDINGS_SEED").map_or(1, |seed| seed.parse().expect("TIDINGS_SEED is a number"))
}

/// The acknowledged updates of a log.
#[derive(Debug)]
pub struct Acknowledged {
    random: Random,
    topics: Vec<Topic>,
    kept: Vec<Kept>,
    /// The update that closed each closed topic, by its number in `kept`.
    closed: HashMap<Topic, usize>,
}

#[derive(Debug)]
struct Kept {
    append: Append,
    receipt: Receipt,
    /// When it came, at the earliest and at the latest.
    came: [RecordTime; 2],
}

impl Kept {
    /// Holds a record against what was acknowledged.
    fn check(&self, record: &Record, sequence: u64) {
        let (update, number) = (&self.append.update, self.receipt.sequence);
        assert_eq!(record.sequence(), sequence);
        assert_eq!((record.topics(), record.event()), (update.topics(), update.event()), "update {number}");
        let flags = |update: &Update| (update.is_private(), update.is_close());
        assert_eq!((record.is_private(), record.is_close()), flags(update), "update {number}");
        assert!(record.says_the_same_as(update), "update {number}");
        let time = record.time();
        let [earliest, latest] =
            self.append.time.map_or(self.came, |time| [time, time]).map(SystemTime::from);
        assert!((earliest..=latest).contains(&time), "update {number} came at {time:?}");
    }
}

impl Acknowledged {
    /// Nothing yet.
    pub fn new(seed: u64) -> Acknowledged {
        let mut random = Random::of(seed);
        let topics = (0..50).map(|_| random.topic()).collect();
        Acknowledged { random, topics, kept: Vec::new(), closed: HashMap::new() }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.kept.len()
    }

    /// Appends batches until there are `count` more, and keeps what is acknowledged.
    pub async fn append(&mut self, log: &dyn Log, count: usize) {
        let end = self.kept.len() + count;
        while self.kept.len() < end {
            self.repeat(log).await;
            self.publish_to_a_closed_topic(log).await;
            let size = 1 + self.random.below(12);
            let batch: Vec<Append> = (0..size).map(|number| self.update(self.kept.len() + number)).collect();
            // A close ends the batch, so that nothing of the batch is refused.
            let size = batch.iter().position(|append| append.update.is_close()).map_or(size, |at| at + 1);
            let batch = &batch[..size];
            let earliest = RecordTime::now();
            let appended = log.append(batch.to_vec()).await.expect("the log works");
            let came = [earliest, RecordTime::now()];
            assert_eq!(
                (appended.receipts.len(), &appended.refused),
                (size, &None),
                "all of {batch:?} is new"
            );
            for (append, receipt) in batch.iter().zip(appended.receipts) {
                assert!(!receipt.repeated);
                if append.update.is_close() {
                    let number = self.kept.len();
                    self.closed.extend(append.update.topics().iter().map(|topic| (topic.clone(), number)));
                }
                self.kept.push(Kept { append: append.clone(), receipt, came });
            }
        }
    }

    /// An update that is new.
    fn update(&mut self, number: usize) -> Append {
        let random = &mut self.random;
        if random.once_in(10) {
            let new = random.topic();
            let at = random.below(self.topics.len());
            self.topics[at] = new;
        }
        let mut open = Vec::new();
        while open.is_empty() || random.once_in(4) {
            let topic = random.one_of(&self.topics).clone();
            match self.closed.contains_key(&topic) {
                true => self.topics.retain(|open| *open != topic),
                false => open.push(topic),
            }
            while self.topics.len() < 50 {
                self.topics.push(random.topic());
            }
        }
        // Some are named twice.
        if random.once_in(8) {
            open.extend_from_within(..);
        }
        let mut update = match random.once_in(40) {
            true => Update::close(open[0].clone(), random.data()),
            false => Update::new(open[0].clone(), random.data()),
        };
        if let Some(event_type) = random.event_type().filter(|_| !update.is_close()) {
            update = update.with_type(event_type);
        }
        if let Some(retry) = random.retry(UpdateRetry::MAX) {
            update = update.with_retry(retry);
        }
        if random.once_in(6) {
            update = update.with_id(UpdateId::parse(&random.name(number)).expect("printable ASCII"));
        }
        if random.once_in(10) {
            update = update.private();
        }
        let key = random.once_in(6).then(|| random.name(number));
        let key = key.map(|key| IdempotencyKey::parse(&key).expect("printable ASCII"));
        Append { update: update.with_topics(open), key, time: random.time() }
    }

    /// Appends something again, which appends nothing.
    async fn repeat(&mut self, log: &dyn Log) {
        if self.kept.is_empty() || !self.random.once_in(4) {
            return;
        }
        let Kept { append, receipt, .. } = self.random.one_of(&self.kept);
        if append.key.is_some() || append.update.event().id().is_some() || append.update.is_close() {
            let again = log.append(vec![append.clone()]).await.expect("the log works");
            let receipt = Receipt { repeated: true, ..receipt.clone() };
            assert_eq!(again, Appended { receipts: vec![receipt], refused: None }, "{append:?} again");
        }
    }

    async fn publish_to_a_closed_topic(&mut self, log: &dyn Log) {
        if !self.random.once_in(8) {
            return;
        }
        let closed: Vec<_> = self.closed.keys().take(8).cloned().collect();
        if closed.is_empty() {
            return;
        }
        let update = Update::new(self.random.one_of(&closed).clone(), "too late");
        let appended = log.append(vec![update.into()]).await.expect("the log works");
        assert!(matches!(appended.refused, Some(Refused::Closed { .. })), "{appended:?}");
    }

    /// Holds against `log` all that it has acknowledged: each way of reading gives the same.
    pub async fn check(&mut self, log: &dyn Log) {
        let all = self.read(log, &Selector::everything()).await;
        assert_eq!(all.len(), self.kept.len(), "everything");
        for (kept, record) in self.kept.iter().zip(&all) {
            kept.check(record, kept.receipt.sequence);
            assert_eq!(record.id(), kept.receipt.id);
        }
        let mut by_topic: HashMap<&Topic, Vec<usize>> = HashMap::new();
        for (number, kept) in self.kept.iter().enumerate() {
            for topic in kept.append.update.topics() {
                by_topic.entry(topic).or_default().push(number);
            }
        }
        let mut topics: Vec<_> = by_topic.keys().map(|topic| (*topic).clone()).collect();
        topics.sort();
        let expect =
            |topic: &Topic| by_topic[topic].iter().map(|number| all[*number].clone()).collect::<Vec<_>>();
        let expected: Vec<_> = topics.iter().map(expect).collect();
        // All that one can ask of a large log takes long: some of it is asked for.
        let few = (topics.len() / 100).max(1);
        for (topic, expected) in topics.iter().zip(&expected) {
            if self.random.once_in(few) {
                assert_eq!(&self.read(log, &topic.clone().into()).await, expected, "{topic}");
            }
        }
        let sequences =
            |records: &[Arc<Record>]| records.iter().map(|record| record.sequence()).collect::<HashSet<_>>();
        let two: Vec<_> = (0..2).map(|_| self.random.below(topics.len())).collect();
        let both: Selector = two.iter().map(|number| TopicFilter::Exact(topics[*number].clone())).collect();
        let expected_of_both: HashSet<_> =
            two.iter().flat_map(|number| sequences(&expected[*number])).collect();
        let of_both = self.read(log, &both).await;
        assert!(of_both.is_sorted_by_key(|record| record.sequence()));
        assert_eq!((of_both.len(), sequences(&of_both)), (expected_of_both.len(), expected_of_both));
        let prefix = Selector::from_iter(TopicFilter::parse("p/*"));
        let below: Vec<_> = all.iter().filter(|record| prefix.matches(record.topics())).cloned().collect();
        assert_eq!(self.read(log, &prefix).await, below);

        let few = (self.kept.len() / 300).max(1);
        for (kept, record) in self.kept.iter().zip(&all) {
            if let Some(id) = record.publisher_id().filter(|_| self.random.once_in(few)) {
                let topic = self.random.one_of(record.topics()).clone();
                let found = log.find(id, &topic.into()).await.expect("the log works");
                assert_eq!(found, Some(kept.receipt.sequence), "{id}");
            }
            if self.random.once_in(few) {
                let alone = log.record(record.sequence()).await.expect("the log works");
                assert_eq!(alone.as_ref(), Some(record));
            }
        }
        for (topic, number) in &self.closed {
            let close = log.closed(topic).await.expect("the log works");
            assert_eq!(close.as_ref(), Some(&all[*number]), "the close of {topic}");
        }
        assert_eq!(log.bounds().newest, all.last().map_or(log.bounds().newest, |last| last.position()));
    }

    /// All that a selector gets, in pages of some size.
    async fn read(&mut self, log: &dyn Log, selector: &Selector) -> Vec<Arc<Record>> {
        let limits = [(1_000_000, usize::MAX), (1_000, 100_000), (7, usize::MAX)];
        // Small pages of a large log take long.
        let (records, bytes) = limits[self.random.below(if self.kept.len() > 10_000 { 2 } else { 3 })];
        let (mut all, mut after) = (Vec::new(), 0);
        loop {
            let page = log.read(after, selector, PageLimit { records, bytes }).await.expect("the log works");
            assert_eq!(page.lost, None);
            all.extend(page.records);
            if page.reached.sequence == after || page.reached == log.bounds().newest {
                return all;
            }
            after = page.reached.sequence;
        }
    }

    /// Holds against records of another log, as `(update, key)` in order, what was exported to it.
    pub fn check_copy(&self, copies: &[Arc<Record>]) {
        assert_eq!(copies.len(), self.kept.len());
        for (kept, copy) in self.kept.iter().zip(copies) {
            kept.check(copy, copy.sequence());
        }
    }
}
