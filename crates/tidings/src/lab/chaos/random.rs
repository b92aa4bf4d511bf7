//! Random choices that can be repeated with the same seed.

/// The choices for one request or connection.
///
/// SplitMix64: good enough for choosing faults. The same seed must mean the same in every version.
#[derive(Debug)]
pub(super) struct Random(u64);

/// The step of the sequence: 2⁶⁴ divided by the golden ratio, made odd.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

impl Random {
    /// The choices for the request with this number. They do not depend on the choices for others.
    pub(super) fn of(seed: u64, number: u64) -> Random {
        Random(Random(seed).next() ^ Random(number).next())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to `last`, inclusive.
    pub(super) fn up_to(&mut self, last: u64) -> u64 {
        let number = self.next();
        // 2⁶⁴ is not a multiple of most counts, but the bias is far too small to notice.
        last.checked_add(1).map_or(number, |count| number % count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_chooses_the_same_and_another_does_not() {
        let choices = |seed, number| {
            let mut random = Random::of(seed, number);
            [0; 8].map(|_| random.up_to(999))
        };
        assert_eq!(choices(7, 1), choices(7, 1));
        assert_ne!(choices(7, 1), choices(7, 2));
        assert_ne!(choices(7, 1), choices(8, 1));
    }

    #[test]
    fn both_ends_are_chosen() {
        let mut random = Random::of(1, 1);
        let chosen: std::collections::BTreeSet<_> = (0..200).map(|_| random.up_to(3)).collect();
        assert_eq!(chosen, [0, 1, 2, 3].into());
        random.up_to(u64::MAX);
    }
}
