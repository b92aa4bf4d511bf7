//! A sorted map that most often has one entry.

use std::{
    collections::BTreeMap,
    ops::Bound::{Excluded, Unbounded},
};

/// One entry is stored in place; a table has one of these for each topic, and most topics have one subscriber.
#[derive(Debug)]
pub(crate) enum OneOrMany<K, V> {
    One(K, V),
    /// Or none.
    #[expect(clippy::box_collection, reason = "many of these lie in tables, and few are this variant")]
    Many(Box<BTreeMap<K, V>>),
}

impl<K: Ord, V> OneOrMany<K, V> {
    pub(crate) fn is_empty(&self) -> bool {
        matches!(self, OneOrMany::Many(entries) if entries.is_empty())
    }

    /// Adds an entry, whose key is new.
    pub(crate) fn insert(&mut self, key: K, value: V) {
        if let OneOrMany::Many(entries) = self {
            if !entries.is_empty() {
                entries.insert(key, value);
                return;
            }
        }
        *self = match std::mem::take(self) {
            OneOrMany::One(first, of_first) => {
                OneOrMany::Many(Box::new(BTreeMap::from([(first, of_first), (key, value)])))
            }
            OneOrMany::Many(_) => OneOrMany::One(key, value),
        };
    }

    pub(crate) fn remove(&mut self, key: &K) {
        match self {
            OneOrMany::One(one, _) if one == key => *self = OneOrMany::default(),
            OneOrMany::One(..) => {}
            OneOrMany::Many(entries) => {
                entries.remove(key);
                if entries.len() == 1 {
                    if let Some((key, value)) = entries.pop_first() {
                        *self = OneOrMany::One(key, value);
                    }
                }
            }
        }
    }

    /// In the order of their keys.
    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        let (one, many) = match self {
            OneOrMany::One(_, value) => (Some(value), None),
            OneOrMany::Many(entries) => (None, Some(entries.values())),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }

    /// The keys that are greater than `key`, in their order; without one, all.
    pub(crate) fn keys_after(&self, key: Option<K>) -> impl Iterator<Item = &K> {
        let (one, many) = match self {
            OneOrMany::One(one, _) => (Some(one).filter(|one| key.is_none_or(|key| **one > key)), None),
            OneOrMany::Many(entries) => {
                (None, Some(entries.range((key.map_or(Unbounded, Excluded), Unbounded))))
            }
        };
        one.into_iter().chain(many.into_iter().flatten().map(|(key, _)| key))
    }
}

/// No entry.
impl<K, V> Default for OneOrMany<K, V> {
    fn default() -> OneOrMany<K, V> {
        OneOrMany::Many(Box::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_in_the_order_of_their_keys_however_many_there_are() {
        let mut map = OneOrMany::default();
        let (mut count, mut left) = (0, vec![2, 3, 5]);
        for key in [5, 2, 3] {
            assert_eq!(map.is_empty(), count == 0);
            map.insert(key, key * 10);
            count += 1;
            assert_eq!(map.values().count(), count);
        }
        while let Some(last) = left.pop() {
            let keys = |after| map.keys_after(after).copied().collect::<Vec<i32>>();
            assert_eq!((keys(None), keys(Some(last))), ([&left[..], &[last]].concat(), vec![]));
            assert_eq!(keys(Some(2)), [&left[..], &[last]].concat()[1..]);
            assert_eq!(map.values().copied().max(), Some(last * 10));
            map.remove(&last);
        }
        assert!(map.is_empty());
    }

    #[test]
    fn one_entry_is_found_and_removed_by_its_own_key_alone() {
        let mut map = OneOrMany::default();
        map.insert(7, ());
        map.remove(&6);
        assert_eq!([None, Some(6), Some(7)].map(|after| map.keys_after(after).count()), [1, 1, 0]);
        map.remove(&7);
        assert!(map.is_empty());
    }
}
