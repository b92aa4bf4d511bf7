//! Latencies, counted in buckets that are at most 1/64 wide.

use serde::{Deserialize, Serialize};

/// Buckets for each power of two.
const BUCKETS: u64 = 64;

/// Counts of values, in nanoseconds. Any number of values takes the same memory.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Histogram {
    counts: Vec<u64>,
    count: u64,
    max: u64,
}

impl Histogram {
    pub(super) fn record(&mut self, value: u64) {
        let bucket = bucket(value);
        if bucket >= self.counts.len() {
            self.counts.resize(bucket + 1, 0);
        }
        self.counts[bucket] += 1;
        self.count += 1;
        self.max = self.max.max(value);
    }

    pub(super) fn add(&mut self, other: &Histogram) {
        if other.counts.len() > self.counts.len() {
            self.counts.resize(other.counts.len(), 0);
        }
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.count += other.count;
        self.max = self.max.max(other.max);
    }

    /// A bound that a `share` of all values (0.99, for instance) do not exceed, up to 1/64 too high. `None` without
    /// values.
    pub(super) fn quantile(&self, share: f64) -> Option<u64> {
        let rank = ((self.count as f64 * share).ceil() as u64).max(1);
        let mut below = 0;
        self.counts.iter().enumerate().find_map(|(bucket, count)| {
            below += count;
            (below >= rank).then(|| upper(bucket).min(self.max))
        })
    }

    pub(super) fn max(&self) -> Option<u64> {
        (self.count > 0).then_some(self.max)
    }
}

/// Each value below 128 has its own bucket. Above, the highest seven bits of a value choose the bucket.
fn bucket(value: u64) -> usize {
    let shift = u64::from((u64::BITS - value.leading_zeros()).saturating_sub(7));
    (shift * BUCKETS + (value >> shift)) as usize
}

/// The highest value of a bucket.
fn upper(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    let shift = (bucket / BUCKETS).saturating_sub(1);
    let highest = bucket - shift * BUCKETS;
    (highest << shift) | ((1 << shift) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_its_values_and_is_narrow() {
        for value in (0..5_000).chain([1 << 20, (1 << 20) + 1, 123_456_789_012, u64::MAX]) {
            let upper = upper(bucket(value));
            assert!(upper >= value && upper - value <= value / 64, "{value} is told as {upper}");
        }
    }

    #[test]
    fn quantiles_of_a_thousand_values() {
        let (mut odd, mut even) = (Histogram::default(), Histogram::default());
        assert_eq!((odd.quantile(0.5), odd.max()), (None, None));
        for value in 1..=1000_u64 {
            if value % 2 == 1 { odd.record(value * 1000) } else { even.record(value * 1000) }
        }
        odd.add(&even);
        for (share, expected) in [(0.5, 500_000), (0.99, 990_000), (0.999, 999_000)] {
            let value = odd.quantile(share).expect("there are values");
            assert!((expected..=expected + expected / 64).contains(&value), "{share}: {value}");
        }
        assert_eq!(odd.max(), Some(1_000_000));
    }
}
