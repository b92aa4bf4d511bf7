//! Interleaved medians: in every round each contender has its turn, so that a slow moment of the machine affects all of
//! them.
//!
//! A turn is two runs, and only the second run counts: by then the caches hold the contender's own data. A contender
//! that runs after one that maps and unmaps megabytes is still slower because of it, so every round shuffles the order.

use std::time::Instant;

use crate::allocations;
use crate::workloads::Random;

const ROUNDS: usize = 101;

/// Something that can be run over a workload again and again.
pub(crate) struct Contender<'w> {
    pub(crate) name: &'static str,
    /// Runs once over the whole workload and returns how many events it saw, if it looks for events.
    pub(crate) run: Box<dyn Fn() -> Option<usize> + 'w>,
}

/// The result of one workload.
pub(crate) struct Measured {
    pub(crate) workload: &'static str,
    pub(crate) rows: Vec<Row>,
}

/// The result of one contender on a workload.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) mb_per_second: f64,
    pub(crate) ns_per_event: f64,
    /// From the last round, when every buffer has reached its size.
    pub(crate) allocations_per_event: f64,
    /// The time of each round.
    nanos: Vec<f64>,
}

impl Measured {
    /// How many times faster `name` is than `other`: the median over the rounds. `None` if one of them did not run.
    pub(crate) fn ratio(&self, name: &str, other: &str) -> Option<f64> {
        let nanos = |name| self.rows.iter().find(|row| row.name == name).map(|row| &row.nanos);
        Some(median(nanos(name)?.iter().zip(nanos(other)?).map(|(own, other)| other / own).collect()))
    }
}

/// Runs all `contenders` over a workload of `bytes` bytes in `events` events.
///
/// # Panics
/// If a contender sees another number of events than there are: its speed would mean nothing.
pub(crate) fn run(
    workload: &'static str,
    bytes: usize,
    events: usize,
    contenders: &[Contender<'_>],
) -> Measured {
    let mut nanos = vec![Vec::with_capacity(ROUNDS); contenders.len()];
    let mut allocations = vec![0; contenders.len()];
    let mut random = Random(1);
    let mut order: Vec<usize> = (0..contenders.len()).collect();
    for _ in 0..ROUNDS {
        random.shuffle(&mut order);
        for &at in &order {
            let contender = &contenders[at];
            (contender.run)();
            let before = allocations::count();
            let start = Instant::now();
            let seen = (contender.run)();
            let time = start.elapsed();
            allocations[at] = allocations::count() - before;
            nanos[at].push(time.as_secs_f64() * 1e9);
            assert!(
                seen.is_none_or(|seen| seen == events),
                "{}: {seen:?} of {events} events",
                contender.name
            );
        }
    }
    let rows = contenders.iter().zip(nanos).zip(allocations).map(|((contender, nanos), allocations)| {
        let time = median(nanos.clone());
        Row {
            name: contender.name,
            mb_per_second: bytes as f64 / time * 1e3,
            ns_per_event: time / events as f64,
            allocations_per_event: allocations as f64 / events as f64,
            nanos,
        }
    });
    Measured { workload, rows: rows.collect() }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
