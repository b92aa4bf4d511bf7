//! Several ascending lists of sequences as one.

use std::{cmp::Reverse, collections::BinaryHeap};

/// Yields the sequences of all lists in order; one that several lists hold comes once.
#[derive(Debug)]
pub(crate) struct Merge<L: Iterator<Item = u64>> {
    lists: Vec<L>,
    heads: BinaryHeap<Reverse<(u64, usize)>>,
}

impl<L: Iterator<Item = u64>> Merge<L> {
    pub(crate) fn new(lists: impl IntoIterator<Item = L>) -> Merge<L> {
        let mut lists: Vec<L> = lists.into_iter().collect();
        let heads = lists
            .iter_mut()
            .enumerate()
            .filter_map(|(number, list)| list.next().map(|head| Reverse((head, number))))
            .collect();
        Merge { lists, heads }
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
    }
}
