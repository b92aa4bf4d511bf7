//! `tidings doctor` against servers that are right, and servers that are each wrong in one way.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod asked;
mod clean;
mod forms;
mod http2;
mod http3;
mod llm;
mod many;
mod stand_in;
#[path = "../support/mod.rs"]
mod support;
mod timed;
mod unreadable;

use std::time::Duration;

use serde_json::Value;
use support::program::program;
use tokio::process::Command;

/// Runs `tidings doctor … --json`: the exit code and the report.
async fn doctor(arguments: &[&str]) -> (Option<i32>, Value) {
    let (code, out) = run(&[arguments, &["--json"]].concat(), &[]).await;
    (code, serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out:?} is JSON")))
}

async fn run(arguments: &[&str], environment: &[(&str, &str)]) -> (Option<i32>, String) {
    let mut command = Command::from(program());
    command.arg("doctor").args(arguments).envs(environment.iter().copied()).kill_on_drop(true);
    let output = tokio::time::timeout(Duration::from_secs(60), command.output());
    let output = output.await.expect("it ends by itself").expect("it starts");
    (output.status.code(), String::from_utf8(output.stdout).expect("its output is UTF-8"))
}

/// The names of the rules that found something.
fn rules(report: &Value) -> Vec<&str> {
    report["findings"].as_array().unwrap().iter().map(|finding| finding["rule"].as_str().unwrap()).collect()
}
