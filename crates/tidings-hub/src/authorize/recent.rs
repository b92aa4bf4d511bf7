//! A table of bounded size that forgets the entries that were not used for the longest time.

use std::{collections::HashMap, hash::Hash};

/// Two generations of entries. An entry that is used moves to the young ones. When these fill their half, the old ones are
/// forgotten, and the young ones become the old ones. So each use costs the same, and nothing is searched for the oldest.
#[derive(Debug)]
pub(super) struct Recent<K, V> {
    half: usize,
    young: HashMap<K, V>,
    old: HashMap<K, V>,
}

impl<K: Hash + Eq, V: Default> Recent<K, V> {
    /// Remembers at most `most` entries, and at least half of them.
    pub(super) fn new(most: usize) -> Recent<K, V> {
        Recent { half: (most / 2).max(1), young: HashMap::new(), old: HashMap::new() }
    }

    /// The entry of `key`, which counts as used. A new one is the default.
    pub(super) fn entry(&mut self, key: K) -> &mut V {
        let moved = (!self.young.contains_key(&key)).then(|| self.old.remove(&key).unwrap_or_default());
        if moved.is_some() && self.young.len() >= self.half {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.entry(key).or_insert_with(|| moved.unwrap_or_default())
    }

    /// The entry of `key`, if it is remembered. It does not count as used.
    pub(super) fn find(&self, key: &K) -> Option<&V> {
        self.young.get(key).or_else(|| self.old.get(key))
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_that_are_used_stay_and_the_table_never_grows_beyond_its_bound() {
        let mut recent = Recent::<u32, u32>::new(10);
        *recent.entry(0) = 7;
        for key in 1..1_000 {
            *recent.entry(key) += 1;
            assert_eq!(*recent.entry(0), 7, "after {key} others");
            assert!(recent.len() <= 10, "{} entries", recent.len());
        }
        assert_eq!(recent.find(&999), Some(&1));
        assert_eq!(recent.find(&900), None);
    }
}
