//! Several ascending lists of sequences as one.

use std::{cmp::Reverse, collections::BinaryHeap};

/// Yields the sequences of all lists in order; one that several lists hold comes once.
#[derive(Debug)]
pub(crate) struct Merge<L: Iterator<Item = u64>> {
    /// The list, if there is one alone, as most subscriptions have it: nothing is to be merged then.
    only: Option<L>,
    lists: Vec<L>,
    heads: BinaryHeap<Reverse<(u64, usize)>>,
}

impl<L: Iterator<Item = u64>> Merge<L> {
    pub(crate) fn new(lists: impl IntoIterator<Item = L>) -> Merge<L> {
        let mut rest = lists.into_iter();
        let only = rest.next();
        let Some(second) = rest.next() else {
            return Merge { only, lists: Vec::new(), heads: BinaryHeap::new() };
        };
        let mut lists: Vec<L> = only.into_iter().chain([second]).chain(rest).collect();
        let heads = lists
            .iter_mut()
            .enumerate()
            .filter_map(|(number, list)| list.next().map(|head| Reverse((head, number))))
            .collect();
        Merge { only: None, lists, heads }
    }

    fn advance(&mut self) -> Option<u64> {
        let Reverse((sequence, number)) = self.heads.pop()?;
        if let Some(head) = self.lists[number].next() {
            self.heads.push(Reverse((head, number)));
        }
        Some(sequence)
    }
}

impl<L: Iterator<Item = u64>> Iterator for Merge<L> {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        if let Some(only) = &mut self.only {
            return only.next();
        }
        let sequence = self.advance()?;
        while self.heads.peek().is_some_and(|Reverse((next, _))| *next == sequence) {
            self.advance();
        }
        Some(sequence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_become_one_without_repeats() {
        let lists = [vec![1, 4, 9], vec![], vec![2, 4, 5, 9], vec![9]];
        let merged: Vec<u64> = Merge::new(lists.into_iter().map(Vec::into_iter)).collect();
        assert_eq!(merged, [1, 2, 4, 5, 9]);
        let one: Vec<u64> = Merge::new([vec![1, 4, 9].into_iter()]).collect();
        assert_eq!(one, [1, 4, 9]);
        assert_eq!(Merge::new(std::iter::empty::<std::vec::IntoIter<u64>>()).next(), None);
    }
}
