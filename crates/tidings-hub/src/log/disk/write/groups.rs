//! The kept records of each retention rule, and the rules with work to do.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::state::Group;

/// One group for each rule, in the order of the rules.
///
/// A commit changes a copy, which is dropped if the commit fails. There may be thousands of rules: the copy has what it changes, and
/// shares the rest.
#[derive(Debug, Clone, Default)]
pub(super) struct Groups {
    settled: Arc<Settled>,
    changed: BTreeMap<usize, Group>,
}

#[derive(Debug, Clone, Default)]
struct Settled {
    groups: Vec<Group>,
    /// Those that are other than the database says.
    unnoted: BTreeSet<usize>,
    /// When each is to be looked at, if it is.
    looks: BTreeSet<(u64, usize)>,
}

impl Groups {
    /// All of them, as they were found.
    pub(super) fn new(groups: Vec<Group>) -> Groups {
        let numbered = || groups.iter().enumerate();
        let looks = numbered().filter_map(|(number, group)| Some((group.look_at?, number))).collect();
        let unnoted = numbered().filter(|(_, group)| !group.is_noted).map(|(number, _)| number).collect();
        Groups { settled: Arc::new(Settled { groups, unnoted, looks }), changed: BTreeMap::new() }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.settled.groups.len()
    }

    pub(super) fn of(&self, number: usize) -> &Group {
        self.changed.get(&number).unwrap_or_else(|| &self.settled.groups[number])
    }

    /// To change what the database says of it as well.
    pub(super) fn of_mut(&mut self, number: usize) -> &mut Group {
        let group = self.changed.entry(number).or_insert_with(|| self.settled.groups[number].clone());
        group.is_noted = false;
        group
    }

    /// Those that are to be looked at now.
    pub(super) fn to_look_at(&self, now: u64) -> Vec<usize> {
        let settled = self.settled.looks.range(..=(now, usize::MAX)).map(|(_, number)| *number);
        let changed = self.changed.iter().filter(|(_, group)| group.look_at.is_some_and(|at| at <= now));
        let mut numbers: Vec<_> = settled.filter(|number| !self.changed.contains_key(number)).collect();
        numbers.extend(changed.map(|(number, _)| *number));
        numbers.sort_unstable();
        numbers
    }

    /// Those that the database has to be told of, which from now on it has been.
    pub(super) fn note(&mut self) -> Vec<usize> {
        let mut numbers = self.settled.unnoted.clone();
        numbers.extend(self.changed.keys());
        numbers.retain(|number| !self.of(*number).is_noted);
        for number in &numbers {
            self.of_mut(*number).is_noted = true;
        }
        numbers.into_iter().collect()
    }

    /// Shares what was changed, too.
    pub(super) fn settle(&mut self) {
        if self.changed.is_empty() {
            return;
        }
        // Nobody else has it any more, unless the state before was kept.
        let settled = Arc::make_mut(&mut self.settled);
        for (number, group) in std::mem::take(&mut self.changed) {
            match group.is_noted {
                true => settled.unnoted.remove(&number),
                false => settled.unnoted.insert(number),
            };
            let before = std::mem::replace(&mut settled.groups[number], group);
            let look_at = settled.groups[number].look_at;
            if before.look_at != look_at {
                before.look_at.map(|at| settled.looks.remove(&(at, number)));
                settled.looks.extend(look_at.map(|at| (at, number)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_commit_that_fails_has_changed_is_as_it_was() {
        let of = |look_at| Group { look_at, ..Group::default() };
        let mut groups = Groups::new([Some(5), None, Some(7), Some(3)].map(of).into());
        let mut failed = groups.clone();
        failed.of_mut(1).look_at = Some(0);
        failed.of_mut(3).look_at = None;
        assert_eq!((failed.to_look_at(6), groups.to_look_at(6)), (vec![0, 1], vec![0, 3]));

        let mut commit = groups.clone();
        commit.of_mut(0).look_at = Some(8);
        commit.of_mut(2).swept = 9;
        groups = commit;
        groups.settle();
        assert_eq!(
            (groups.to_look_at(6), groups.to_look_at(7), groups.to_look_at(8)),
            (vec![3], vec![2, 3], vec![0, 2, 3])
        );
        assert_eq!((groups.of(2).swept, failed.of(2).swept), (9, 0));
    }

    #[test]
    fn each_change_is_noted_once() {
        let mut groups = Groups::new(vec![Group { is_noted: true, ..Group::default() }; 4]);
        groups.of_mut(2).swept = 1;
        groups.settle();
        groups.of_mut(1).swept = 1;
        let mut failed = groups.clone();
        assert_eq!(failed.note(), [1, 2]);
        assert_eq!((groups.note(), groups.note()), (vec![1, 2], vec![]));
        groups.settle();
        groups.of_mut(2).swept = 2;
        assert_eq!((groups.note(), groups.note()), (vec![2], vec![]));
    }
}
