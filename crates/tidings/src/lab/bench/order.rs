//! Checks that a subscriber gets every update once and in order.

use serde::{Deserialize, Serialize};

/// The updates of one subscriber, or of all in a process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tally {
    /// Updates that arrived, each counted once.
    pub(super) delivered: u64,
    /// Updates that arrived again.
    pub(super) duplicated: u64,
    /// Updates that arrived after a later one.
    pub(super) reordered: u64,
}

impl Tally {
    pub(super) fn add(&mut self, other: Tally) {
        self.delivered += other.delivered;
        self.duplicated += other.duplicated;
        self.reordered += other.reordered;
    }
}

/// The position of one subscriber in the numbers of its topic.
#[derive(Debug, Default)]
pub(super) struct Order {
    next: u64,
    /// The numbers below `next` that have not arrived. Empty for every server that keeps the order.
    missing: Vec<u64>,
}

/// How many missing updates of one subscriber are remembered. Beyond that, a late update counts as duplicated.
const MAX_MISSING: u64 = 10_000;

impl Order {
    /// Begins with the update `first`.
    pub(super) fn from(first: u64) -> Order {
        Order { next: first, missing: Vec::new() }
    }

    pub(super) fn came(&mut self, number: u64, tally: &mut Tally) {
        if number >= self.next {
            let remembered = (number - self.next).min(MAX_MISSING.saturating_sub(self.missing.len() as u64));
            self.missing.extend(self.next..self.next + remembered);
            self.next = number + 1;
            tally.delivered += 1;
        } else if let Some(place) = self.missing.iter().position(|missing| *missing == number) {
            self.missing.swap_remove(place);
            tally.delivered += 1;
            tally.reordered += 1;
        } else {
            tally.duplicated += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(numbers: &[u64]) -> (u64, u64, u64) {
        let (mut order, mut tally) = (Order::default(), Tally::default());
        numbers.iter().for_each(|number| order.came(*number, &mut tally));
        (tally.delivered, tally.duplicated, tally.reordered)
    }

    #[test]
    fn each_fault_is_told_from_the_others() {
        assert_eq!(tally(&[0, 1, 2, 3]), (4, 0, 0));
        assert_eq!(tally(&[0, 1, 3]), (3, 0, 0), "one is lost");
        assert_eq!(tally(&[0, 1, 1, 2]), (3, 1, 0));
        assert_eq!(tally(&[0, 2, 1, 3]), (4, 0, 1));
        assert_eq!(tally(&[0, 2, 1, 1, 3]), (4, 1, 1), "late, and then again");
    }

    #[test]
    fn a_wild_number_costs_bounded_memory() {
        let (mut order, mut tally) = (Order::from(5), Tally::default());
        order.came(u64::MAX - 1, &mut tally);
        assert_eq!((order.missing.len() as u64, tally.delivered), (MAX_MISSING, 1));
    }
}
