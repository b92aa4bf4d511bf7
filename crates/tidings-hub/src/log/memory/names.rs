//! The names of the records in memory, and of the last ones that were evicted.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    ops::Bound,
    sync::Arc,
};

use crate::{
    Selector, Topic,
    log::{
        IdempotencyKey, Record,
        publisher_names::{Gone, Kind, Named, Sole, names_of},
    },
};

/// The names of all records that are kept in memory, and the last of those that were evicted.
#[derive(Debug)]
pub(super) struct Names {
    ids: Table,
    keys: Table,
    /// The names whose records are gone, in the order in which those went.
    gone: VecDeque<(Kind, Arc<str>, Topic)>,
    /// The size of all names in bytes.
    cost: usize,
    /// The part of that size for names of evicted records.
    gone_cost: usize,
    max_gone: usize,
    max_gone_cost: usize,
}

/// The cost of a name besides its text, which is here and in its record.
const AROUND_NAME: usize = 208;

/// The additional cost of a name, besides its topic, once its record is evicted.
const AROUND_GONE: usize = 144;

fn cost_of(name: &str) -> usize {
    AROUND_NAME + 2 * name.len()
}

/// All that a name costs whose record is gone.
fn cost_of_gone(name: &str, topic: &Topic) -> usize {
    cost_of(name) + AROUND_GONE + topic.as_str().len()
}

type Table = HashMap<Arc<str>, ByTopic>;

/// Most names are of one topic, and cost no tree.
#[derive(Debug)]
enum ByTopic {
    One(Topic, Named),
    Several(BTreeMap<Topic, Named>),
}

impl Names {
    /// No names yet; of records that are gone it will remember `max_gone`, as long as they cost no more than `max_gone_cost`
    /// bytes: names and topics may be long.
    pub(super) fn new(max_gone: usize, max_gone_cost: usize) -> Names {
        Names {
            ids: Table::default(),
            keys: Table::default(),
            gone: VecDeque::new(),
            cost: 0,
            gone_cost: 0,
            max_gone,
            max_gone_cost,
        }
    }

    /// The size of all names in bytes.
    pub(super) fn cost(&self) -> usize {
        self.cost
    }

    pub(super) fn get(&self, kind: Kind, name: &str, topic: &Topic) -> Option<&Named> {
        match self.table(kind).get(name)? {
            ByTopic::One(only, named) => (only == topic).then_some(named),
            ByTopic::Several(named) => named.get(topic),
        }
    }

    /// The sequence of the one update of `selector` that has this ID.
    pub(super) fn find(&self, id: &str, selector: &Selector) -> Option<u64> {
        let mut sole = Sole::default();
        let mut add = |named: &Named| sole.add(named.sequence());
        let is_sole = match self.ids.get(id)? {
            ByTopic::One(topic, named) => !selector.matches(std::slice::from_ref(topic)) || add(named),
            ByTopic::Several(named) if selector.is_everything() => named.values().all(add),
            ByTopic::Several(named) => {
                selector.topics().iter().filter_map(|topic| named.get(topic)).all(&mut add)
                    && selector.prefixes().iter().all(|prefix| {
                        let after = named.range((Bound::Excluded(prefix.as_topic()), Bound::Unbounded));
                        after.take_while(|(topic, _)| prefix.covers(topic)).all(|(_, named)| add(named))
                    })
            }
        };
        sole.into_sequence().filter(|_| is_sole)
    }

    /// Adds the names of a record that is appended.
    pub(super) fn add(&mut self, record: &Record, key: Option<&IdempotencyKey>) {
        if record.publisher_id().is_none() && key.is_none() {
            return;
        }
        for (kind, name, topic) in names_of(record.topics(), record.publisher_id(), key) {
            let named = Named::Kept(record.sequence());
            let table = self.table_mut(kind);
            let is_new = match table.get_mut(name) {
                Some(by_topic) => by_topic.insert(topic, named),
                None => table.insert(name.into(), ByTopic::One(topic.clone(), named)).is_none(),
            };
            self.cost += if is_new { cost_of(name) } else { 0 };
        }
    }

    /// Goes on remembering the names of a record that is evicted. When there are too many of those, the longest gone
    /// are forgotten.
    pub(super) fn evict(&mut self, record: &Record, key: Option<&IdempotencyKey>) {
        if record.publisher_id().is_none() && key.is_none() {
            return;
        }
        let gone = Gone::of(record);
        for (kind, name, topic) in names_of(record.topics(), record.publisher_id(), key) {
            let Some((name, _)) = self.table(kind).get_key_value(name) else { continue };
            let name = name.clone();
            let Some(topic) = self.table_mut(kind).get_mut(&name).and_then(|all| all.evict(topic, gone))
            else {
                continue;
            };
            self.gone_cost += cost_of_gone(&name, &topic);
            self.cost += cost_of_gone(&name, &topic) - cost_of(&name);
            self.gone.push_back((kind, name, topic));
        }
        while self.gone.len() > self.max_gone || self.gone_cost > self.max_gone_cost {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let Some((kind, name, topic)) = self.gone.pop_front() else { return };
        self.gone_cost -= cost_of_gone(&name, &topic);
        self.cost -= cost_of_gone(&name, &topic);
        let table = self.table_mut(kind);
        if table.get_mut(&name).is_some_and(|by_topic| by_topic.remove(&topic)) {
            table.remove(&name);
        }
    }

    fn table(&self, kind: Kind) -> &Table {
        match kind {
            Kind::Id => &self.ids,
            Kind::Key => &self.keys,
        }
    }

    fn table_mut(&mut self, kind: Kind) -> &mut Table {
        match kind {
            Kind::Id => &mut self.ids,
            Kind::Key => &mut self.keys,
        }
    }
}

impl ByTopic {
    /// True if the topic had none.
    fn insert(&mut self, topic: &Topic, named: Named) -> bool {
        match self {
            ByTopic::One(only, old) if only == topic => {
                *old = named;
                false
            }
            ByTopic::One(only, old) => {
                let both = [(only.clone(), old.clone()), (topic.clone(), named)];
                *self = ByTopic::Several(BTreeMap::from(both));
                true
            }
            ByTopic::Several(all) => all.insert(topic.clone(), named).is_none(),
        }
    }

    /// Notes that the record of `topic` is gone, if it is the one that has the name. Gives the topic as it is held here,
    /// whose text is then shared.
    fn evict(&mut self, topic: &Topic, gone: Gone) -> Option<Topic> {
        let (held, named) = match self {
            ByTopic::One(only, named) if only == topic => (only.clone(), named),
            ByTopic::One(..) => return None,
            ByTopic::Several(all) => (all.get_key_value(topic)?.0.clone(), all.get_mut(topic)?),
        };
        if !matches!(named, Named::Kept(sequence) if *sequence == gone.sequence) {
            return None;
        }
        *named = Named::Gone(Box::new(gone));
        Some(held)
    }

    /// True if nothing is left.
    fn remove(&mut self, topic: &Topic) -> bool {
        match self {
            ByTopic::One(only, _) => only == topic,
            ByTopic::Several(all) => {
                all.remove(topic);
                all.is_empty()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        TopicFilter, Update, UpdateId,
        log::{Epoch, RecordTime},
    };

    fn record(sequence: u64, topic: &str, id: &str) -> Record {
        let update = Update::new(Topic::parse(topic).unwrap(), "").with_id(UpdateId::parse(id).unwrap());
        Record::new(Epoch::from_bits(7), sequence, RecordTime::MIN, update)
    }

    fn asks(filter: &str) -> Selector {
        [TopicFilter::parse(filter).unwrap()].into_iter().collect()
    }

    #[test]
    fn nothing_remains_of_forgotten_entries() {
        let mut names = Names::new(3, usize::MAX);
        let records: Vec<Record> =
            (1..=8).map(|sequence| record(sequence, ["a", "b"][sequence as usize % 2], "one")).collect();
        for record in &records[..2] {
            names.add(record, None);
        }
        let key = IdempotencyKey::parse("k").unwrap();
        let others: Vec<Record> =
            (9..=20).map(|sequence| record(sequence, "c", &sequence.to_string())).collect();
        for record in &others {
            names.add(record, Some(&key.numbered(record.sequence())));
        }
        for record in records[..2].iter().chain(&others) {
            names.evict(record, Some(&key.numbered(record.sequence())));
        }
        assert_eq!((names.ids.len(), names.keys.len(), names.gone.len()), (2, 1, 3));
        let costs = names.gone.iter().map(|(_, name, topic)| cost_of_gone(name, topic));
        assert_eq!((names.gone_cost, names.cost), (costs.clone().sum(), costs.sum()));
    }

    #[test]
    fn remembered_entries_are_bounded_by_their_cost() {
        let most = 20 << 20;
        let mut names = Names::new(usize::MAX, most);
        let long = "x".repeat(1_000);
        for sequence in 1..=20_000 {
            let record = record(sequence, &long, &sequence.to_string());
            names.add(&record, None);
            names.evict(&record, None);
        }
        assert!(names.gone_cost <= most && names.ids.len() == names.gone.len());
        let oldest: u64 = names.gone[0].1.parse().unwrap();
        assert_eq!(oldest, 20_001 - names.gone.len() as u64, "the longest gone leave");
        assert!((14_000..20_000).contains(&names.gone.len()));
    }

    #[test]
    fn an_id_of_many_topics_is_looked_up_by_what_is_asked_for() {
        let mut names = Names::new(10, usize::MAX);
        for sequence in 1..=100_000 {
            names.add(&record(sequence, &format!("spam/{sequence}"), "one"), None);
        }
        names.add(&record(200_000, "news/a", "one"), None);
        let found = ["news/a", "news/*", "spam/7", "spam/*", "*", "none/*"]
            .map(|filter| names.find("one", &asks(filter)));
        assert_eq!(found, [Some(200_000), Some(200_000), Some(7), None, None, None]);
    }
}
