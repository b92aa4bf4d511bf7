//! `cargo bench -p tidings-codec`: this crate, its peers and the bound, on the same bytes in the same run.
//!
//! - `-- --check` fails if a promised ratio does not hold.
//! - `-- --write` puts the tables into `bench/codec.md` and the crate's README.
//! - `-- --only tidings` runs only contenders whose name contains the word, for a profiler.

mod allocations;
mod contenders;
mod measure;
mod promises;
mod report;
mod workloads;

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: allocations::Counting = allocations::Counting;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    let has = |flag: &str| args.iter().any(|a| a == flag);
    let only = args.iter().position(|a| a == "--only").and_then(|at| args.get(at + 1));

    let decoding: Vec<_> = workloads::decoding()
        .iter()
        .map(|workload| {
            measure::run(
                workload.name,
                workload.bytes(),
                workload.events,
                &contenders::decoding(workload, only),
            )
        })
        .collect();
    let encoding: Vec<_> = workloads::encoding()
        .iter()
        .map(|workload| {
            measure::run(
                workload.name,
                workload.bytes(),
                workload.events(),
                &contenders::encoding(workload, only),
            )
        })
        .collect();

    let tables = report::tables(&decoding, &encoding);
    println!("{tables}");
    if has("--write") {
        report::write(&tables);
    }
    if has("--check") && !promises::hold(&decoding, &encoding) {
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
