//! Servers that a measurement starts. They end with it.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    thread,
};

use anyhow::{Context, bail};

/// A server of this program on a free port.
pub(super) struct Started {
    child: Child,
    address: String,
}

impl Started {
    /// A hub with its history in memory.
    pub(super) fn hub(core: Option<u32>) -> anyhow::Result<Started> {
        Started::start(&["serve", "--memory", "--listen", "127.0.0.1:0"], core).context("cannot start a hub")
    }

    /// The reference server.
    pub(super) fn bound(core: Option<u32>) -> anyhow::Result<Started> {
        Started::start(&["bench", "server"], core).context("cannot start the reference server")
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    fn start(arguments: &[&str], core: Option<u32>) -> anyhow::Result<Started> {
        let program = std::env::current_exe().context("the path of this program is unknown")?;
        let failure = if core.is_some() { "cannot run taskset" } else { "cannot run this program" };
        let mut command = match core {
            // exec makes it the server, so that the process ID is the server's.
            Some(core) => {
                let mut command = Command::new("taskset");
                command.args(["--cpu-list", &core.to_string()]).arg(program);
                command
            }
            None => Command::new(program),
        };
        // The variables are for the hubs of this machine's operator. A measured server has the defaults.
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"TIDINGS_") {
                command.env_remove(name);
            }
        }
        let mut child = command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context(failure)?;
        let mut stderr = BufReader::new(child.stderr.take().context("its output is not a pipe")?);
        let mut said = String::new();
        let address = loop {
            let start = said.len();
            if stderr.read_line(&mut said).context("its output is not text")? == 0 {
                let _ = child.wait();
                bail!("its output is {:?}", said.trim());
            }
            if let Some((_, address)) = said[start..].trim().split_once("listens on http://") {
                break address.to_owned();
            }
        };
        // The rest of its output must not fill the pipe.
        thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::sink()));
        Ok(Started { child, address })
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
