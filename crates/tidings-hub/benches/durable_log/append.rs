//! Publishing: one caller, and many at once, beside the bare loop.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use tidings_hub::log::{DiskLog, DiskSettings, Log};
use tokio::runtime::Runtime;

use crate::{bare::Bare, median, per_second, runtime, update};

/// Many and short: other work on the machine then falls on both sides alike.
const ROUNDS: usize = 25;
const COMMITS: u64 = 300;
const CALLERS: u64 = 64;

pub(crate) fn run() {
    println!(
        "append: updates of 300 bytes, answered after the fsync; medians of {ROUNDS} interleaved rounds"
    );
    let (theirs, ours) = (tempfile::tempdir_in(".").unwrap(), tempfile::tempdir_in(".").unwrap());
    drop(DiskLog::open(theirs.path(), DiskSettings::default()).unwrap());
    let mut bare = Bare::open(theirs.path());
    let log = Arc::new(DiskLog::open(ours.path(), DiskSettings::default()).unwrap());
    let runtime = runtime();
    for (name, callers, batch) in
        [("one caller", 1, 1), ("one caller, 64 at once", 1, CALLERS), ("64 callers", CALLERS, 1)]
    {
        let together = callers * batch;
        let (mut rates, mut bounds, mut ratios, mut p99s) = (vec![], vec![], vec![], vec![]);
        for _ in 0..ROUNDS {
            let bound = bare.insert(COMMITS, together);
            let (rate, p99) = append(&runtime, &log, callers, batch, COMMITS * together);
            rates.push(rate);
            bounds.push(bound);
            ratios.push(rate / bound);
            p99s.push(p99.as_secs_f64() * 1e3);
        }
        println!(
            "  {name:<22} {:>9.0}/s   bare loop {:>9.0}/s   {:.2} of it   p99 {:.2} ms",
            median(&mut rates),
            median(&mut bounds),
            median(&mut ratios),
            median(&mut p99s),
        );
    }
}

/// Appends `count` updates from `callers` at once, each waiting for its answer; the rate, and the latency's p99.
fn append(runtime: &Runtime, log: &Arc<DiskLog>, callers: u64, batch: u64, count: u64) -> (f64, Duration) {
    let next = Arc::new(AtomicU64::new(0));
    let began = Instant::now();
    let callers: Vec<_> = (0..callers)
        .map(|_| {
            let (log, next) = (log.clone(), next.clone());
            runtime.spawn(async move {
                let mut latencies = Vec::new();
                loop {
                    let number = next.fetch_add(batch, Relaxed);
                    if number >= count {
                        return latencies;
                    }
                    let began = Instant::now();
                    let appended = log.append((number..number + batch).map(update).collect()).await.unwrap();
                    assert_eq!((appended.receipts.len() as u64, appended.refused), (batch, None));
                    latencies.push(began.elapsed());
                }
            })
        })
        .collect();
    let mut latencies: Vec<Duration> =
        callers.into_iter().flat_map(|caller| runtime.block_on(caller).unwrap()).collect();
    let rate = per_second(count, began.elapsed());
    latencies.sort();
    (rate, latencies[latencies.len() * 99 / 100])
}
