//! The costs of the durable log, each figure beside a bound of the same run.
//!
//! `cargo bench -p tidings-hub -- [--records N] [append|topics|churn|resume|replay|restart]…`; without a name, all of them.
//! `bench/durable_log.md` has the recorded results.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a benchmark ends by panicking, and prints"
)]

mod append;
mod bare;
mod large;
mod topics;

use std::time::Duration;

use tidings_hub::{Topic, Update, log::Append};

/// The data of one update, as the promises are stated for.
const DATA_BYTES: usize = 300;

fn main() {
    let mut arguments: Vec<String> =
        std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let mut records = 5_000_000;
    if let Some(at) = arguments.iter().position(|argument| argument == "--records") {
        records = arguments[at + 1].parse().unwrap();
        arguments.drain(at..=at + 1);
    }
    let wanted = |name: &str| arguments.is_empty() || arguments.iter().any(|argument| argument == name);
    if wanted("append") {
        append::run();
    }
    if wanted("topics") {
        topics::run();
    }
    large::run(records, wanted);
}

/// One thread for all callers: with the log's own that makes two, as many as the smallest machines have.
fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

fn update(number: u64) -> Append {
    let mut data = format!("{number:020}");
    data.push_str(&"x".repeat(DATA_BYTES - data.len()));
    Update::new(Topic::parse("bench/topic").unwrap(), data).into()
}

fn median<T: PartialOrd + Copy>(values: &mut [T]) -> T {
    values.sort_by(|a, b| a.partial_cmp(b).unwrap());
    values[values.len() / 2]
}

fn per_second(count: u64, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}
