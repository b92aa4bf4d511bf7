//! The program as its users run it: arguments, input, output, exit code.

use std::{process::Stdio, time::Duration};

use serde_json::Value;
use tokio::{io::AsyncWriteExt, process::Command};

/// The program, without the variables `TIDINGS_*` of the person who runs the tests.
pub fn program() -> std::process::Command {
    without_variables(std::process::Command::new(env!("CARGO_BIN_EXE_tidings")))
}

/// The same for a command that starts the program.
pub fn without_variables(mut command: std::process::Command) -> std::process::Command {
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"TIDINGS_") {
            command.env_remove(name);
        }
    }
    command
}

/// The outcome of a run of the program.
pub struct Outcome {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Outcome {
    pub fn json(&self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).expect("a JSON object a line")).collect()
    }

    pub fn kinds(&self) -> Vec<String> {
        self.json()
            .iter()
            .map(|line| line["kind"].as_str().expect("each line has a kind").to_owned())
            .collect()
    }
}

pub async fn tidings(arguments: &[&str], input: &str) -> Outcome {
    tidings_in(&[], arguments, input).await
}

/// Runs the program with these variables in its environment.
pub async fn tidings_in(environment: &[(&str, &str)], arguments: &[&str], input: &str) -> Outcome {
    let mut child = Command::from(program())
        .args(arguments)
        .envs(environment.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the program starts");
    let mut stdin = child.stdin.take().expect("stdin is piped");
    // A program that refuses its arguments does not read.
    let _ = stdin.write_all(input.as_bytes()).await;
    drop(stdin);
    let output = tokio::time::timeout(Duration::from_secs(60), child.wait_with_output());
    let output = output.await.expect("the program ends by itself").expect("it can be awaited");
    Outcome {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).expect("output is UTF-8"),
        err: String::from_utf8(output.stderr).expect("errors are UTF-8"),
    }
}
