//! `tidings chaos` as a real process.

use std::{
    io::{BufRead, BufReader},
    process::{Child, ChildStderr, Stdio},
};

use super::program::program;

/// A proxy on a free port of its own; ended when dropped.
pub struct Chaos {
    child: Child,
    stderr: BufReader<ChildStderr>,
    pub address: String,
}

impl Chaos {
    /// Spoils `upstream` with these faults.
    pub fn start(upstream: &str, faults: &[&str]) -> Chaos {
        Chaos::start_with(upstream, faults, &[])
    }

    /// The same with more flags.
    pub fn start_with(upstream: &str, faults: &[&str], flags: &[&str]) -> Chaos {
        let mut command = program();
        command.args(["chaos", "--upstream", upstream]).args(flags);
        command.args(faults.iter().flat_map(|fault| ["--fault", fault]));
        let mut child = command.stderr(Stdio::piped()).spawn().expect("the proxy starts");
        let stderr = BufReader::new(child.stderr.take().expect("stderr is piped"));
        let mut chaos = Chaos { child, stderr, address: String::new() };
        let line = chaos.line();
        let (_, address) = line.split_once("listens on http://").expect("it says where it listens");
        chaos.address = address.to_owned();
        chaos
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The next line that it prints.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        let read = self.stderr.read_line(&mut line).expect("what it says is UTF-8");
        assert!(read > 0, "the proxy has ended");
        line.trim_end().to_owned()
    }

    /// Its lines about the next `count` requests.
    pub fn requests(&mut self, count: usize) -> Vec<String> {
        let mut requests = Vec::new();
        while requests.len() < count {
            let line = self.line();
            if line.starts_with('#') {
                requests.push(line);
            }
        }
        requests
    }
}

impl Drop for Chaos {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
