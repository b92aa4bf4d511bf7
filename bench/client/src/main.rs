//! `cargo run --release` in this directory: what an event costs a client, beside other clients and a bound.
//!
//! - `--check` fails if what tidings-client promises does not hold.
//! - `--write` puts the tables into `bench/client.md`.
//! - `--only tidings` runs only contenders whose name contains the word, for a profiler.

mod contenders;
mod measure;
mod promises;
mod report;
mod server;
mod thread;
mod workloads;

use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    let has = |flag: &str| args.iter().any(|arg| arg == flag);
    let only = args.iter().position(|arg| arg == "--only").and_then(|at| args.get(at + 1));

    let contenders: Vec<_> = contenders::all()
        .into_iter()
        .filter(|contender| only.is_none_or(|word| contender.name.contains(word.as_str())))
        .collect();
    let measured = workloads::all().map(|workload| measure::run(workload, &contenders));

    let tables = report::tables(&measured);
    println!("{tables}");
    if has("--write") {
        report::write(&tables);
    }
    if has("--check") && !promises::hold(&measured) {
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
