//! Publishing: one caller, and many at once, beside the bare loop.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use tidings_hub::log::{DiskLog, DiskSettings, Log};

use crate::{bare, median, per_second, runtime, update};

const ROUNDS: usize = 5;
const CALLERS: u64 = 64;

pub(crate) fn run() {
    println!(
        "append: updates of 300 bytes, answered after the fsync; medians of {ROUNDS} interleaved rounds"
    );
    let (mut one, mut bare_one, mut many, mut bare_many) = (vec![], vec![], vec![], vec![]);
    let mut p99 = vec![];
    let mut by_commit = vec![];
    for _ in 0..ROUNDS {
        let directory = tempfile::tempdir_in(".").unwrap();
        drop(DiskLog::open(directory.path(), DiskSettings::default()).unwrap());
        bare_one.push(bare::insert(directory.path(), 2_000, 1));
        bare_many.push(bare::insert(directory.path(), 1_500, CALLERS));

        let directory = tempfile::tempdir_in(".").unwrap();
        let log = Arc::new(DiskLog::open(directory.path(), DiskSettings::default()).unwrap());
        one.push(append(&log, 1, 2_000).0);
        let (rate, latency) = append(&log, CALLERS, 1_500 * CALLERS);
        many.push(rate);
        p99.push(latency);
        by_commit.push(rate);
    }
    let row = |what: &str, ours: f64, bound: f64| {
        println!("  {what:<12} {ours:>9.0}/s   bare loop {bound:>9.0}/s   {:.2} of it", ours / bound);
    };
    row("one caller", median(&mut one), median(&mut bare_one));
    row("64 callers", median(&mut many), median(&mut bare_many));
    println!("  64 callers: p99 {:.2} ms", median(&mut p99).as_secs_f64() * 1e3);
}

/// Appends `count` updates from `callers` at once, each waiting for its answer; the rate, and the latency's p99.
fn append(log: &Arc<DiskLog>, callers: u64, count: u64) -> (f64, Duration) {
    let next = Arc::new(AtomicU64::new(0));
    let runtime = runtime();
    let began = Instant::now();
    let callers: Vec<_> = (0..callers)
        .map(|_| {
            let (log, next) = (log.clone(), next.clone());
            runtime.spawn(async move {
                let mut latencies = Vec::new();
                loop {
                    let number = next.fetch_add(1, Relaxed);
                    if number >= count {
                        return latencies;
                    }
                    let began = Instant::now();
                    let appended = log.append(vec![update(number)]).await.unwrap();
                    assert_eq!((appended.receipts.len(), appended.refused), (1, None));
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
