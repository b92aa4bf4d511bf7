//! How fast something may be done: a bucket that fills at a steady rate.

use std::time::Duration;

/// How much a bucket holds: what its rate brings in this time.
const BURST: Duration = Duration::from_secs(2);

/// How much of a rate has been used.
///
/// It is the time at which the bucket is full again, in nanoseconds of the caller's clock: 8 bytes, and nothing to do while
/// nobody asks.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Bucket(u64);

impl Bucket {
    /// Takes so many units at this rate, in units a second. If one is left in the bucket, it gives all of them, and owes what
    /// it did not have: a batch that is larger than the bucket passes, and those after it wait.
    ///
    /// # Errors
    /// How long it takes until one is in it.
    pub(super) fn take(&mut self, units: u64, rate: f64, now: u64) -> Result<(), Duration> {
        self.has_some(rate, now)?;
        self.0 = self.0.max(now).saturating_add(nanos(units as f64 / rate));
        Ok(())
    }

    /// The same without taking anything.
    pub(super) fn has_some(self, rate: f64, now: u64) -> Result<(), Duration> {
        // A bucket of a slow rate holds one unit.
        let (used, unit) = (self.0.saturating_sub(now), nanos(1.0 / rate));
        let holds = nanos(BURST.as_secs_f64()).max(unit);
        match used.saturating_add(unit).saturating_sub(holds) {
            0 => Ok(()),
            wait => Err(Duration::from_nanos(wait)),
        }
    }
}

/// How many units a bucket of this rate holds.
pub(super) fn burst(rate: f64) -> u64 {
    (rate * BURST.as_secs_f64()).max(1.0) as u64
}

fn nanos(seconds: f64) -> u64 {
    // A number of this type that is too large becomes the largest.
    (seconds * 1e9) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_burst_of_two_seconds_passes_and_then_so_many_a_second() {
        for rate in [0.1, 1.0, 10.0, 1_000.0] {
            let mut bucket = Bucket::default();
            let start = 5 * SECOND;
            let first = (0..100_000).take_while(|_| bucket.take(1, rate, start).is_ok()).count() as u64;
            assert_eq!(first, burst(rate), "at {rate}");
            let wait = bucket.take(1, rate, start).unwrap_err();
            assert!(wait.as_secs_f64() <= 1.0 / rate + 1e-6, "{wait:?} at {rate}");
            let then = start + wait.as_nanos() as u64;
            assert!(bucket.take(1, rate, then).is_ok(), "at {rate}");
            // Over a long time the average holds.
            let passed = (0..1_000)
                .filter(|tick| {
                    let now = then + (*tick as f64 * 1e9 / rate / 4.0) as u64;
                    bucket.take(1, rate, now).is_ok()
                })
                .count();
            assert!((248..=252).contains(&passed), "{passed} at {rate}");
        }
    }

    #[test]
    fn a_part_of_a_unit_is_none() {
        let (mut bucket, each_hour) = (Bucket::default(), 1.0 / 3_600.0);
        assert!(bucket.take(1, each_hour, 0).is_ok());
        for now in [1, SECOND, 3_599 * SECOND] {
            assert!(bucket.take(1, each_hour, now).is_err(), "after {now} ns");
        }
        assert!(bucket.take(1, each_hour, 3_600 * SECOND).is_ok());
    }

    #[test]
    fn a_batch_larger_than_the_bucket_passes_and_is_owed() {
        let mut bucket = Bucket::default();
        assert!(bucket.take(1_000, 10.0, 0).is_ok());
        let wait = bucket.take(1, 10.0, 0).unwrap_err();
        assert_eq!(wait.as_secs(), 98);
        assert!(bucket.take(1, 10.0, wait.as_nanos() as u64).is_ok());
    }
}
