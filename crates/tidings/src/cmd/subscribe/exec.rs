//! Runs a command for each event.

use std::{io, pin::pin, process::Stdio};

use anyhow::Context;
use tokio::{
    io::AsyncWriteExt,
    process::{Child, Command},
};

use super::print::Shown;
use crate::terminal::say;

/// The maximum length of an environment variable's value. Linux allows 128 KiB for one, and macOS 1 MiB for all.
const MAX_VALUE_BYTES: usize = 64 << 10;

/// A shell's exit code for a missing command. Source: POSIX, "Exit Status for Commands".
const NOT_FOUND: i32 = 127;

/// The command of `--exec`, which is run for each event.
pub(super) struct Exec<'a> {
    command: &'a str,
    has_warned: bool,
}

impl<'a> Exec<'a> {
    pub(super) fn new(command: &'a str) -> Exec<'a> {
        Exec { command, has_warned: false }
    }

    /// Runs the command in a shell, with the event's data as its standard input, and waits for its end. Events stay in
    /// order, and a slow command slows the stream down. A failure of the command is reported, and the next event
    /// follows.
    ///
    /// No shell interprets any part of the event. If an environment variable cannot hold a value, the variable is not
    /// set, and a warning is printed once.
    pub(super) async fn run(&mut self, event: &Shown) -> anyhow::Result<()> {
        let variables = [
            ("TIDINGS_TYPE", &*event.event_type),
            ("TIDINGS_ID", &event.id),
            ("TIDINGS_TOPIC", event.topic.as_deref().unwrap_or_default()),
        ];
        for (name, value) in variables.iter().filter(|(_, value)| !is_fit(value)) {
            let why = if value.contains('\0') {
                "contains a NUL, which no variable can hold".to_owned()
            } else {
                format!("has {} bytes; a variable holds at most {MAX_VALUE_BYTES}", value.len())
            };
            self.warn(&format!("{name} is not set for an event: its value {why}"));
        }
        let child = match self.start(&variables) {
            // Our own environment may leave no room.
            Err(error) if error.kind() == io::ErrorKind::ArgumentListTooLong => {
                self.warn("the environment is too large for an event's variables: they are not set");
                self.start(&[])
            }
            started => started,
        };
        let status = feed(child.context("cannot start a shell for --exec")?, &event.data).await?;
        if status.code() == Some(NOT_FOUND) {
            say(&format!("tidings: the shell does not find the command of --exec, for event {:?}", event.id));
        } else if !status.success() {
            say(&format!("tidings: the command of --exec failed ({status}) for event {:?}", event.id));
        }
        Ok(())
    }

    fn start(&self, variables: &[(&str, &str)]) -> io::Result<Child> {
        let mut command = Command::new("sh");
        command.args(["-c", self.command]).stdin(Stdio::piped());
        // Variables of the same names from our own environment must not leak in, and the settings of this command are not the
        // child's: they may have a secret, and another `tidings subscribe` in it would run the same command.
        for (name, _) in std::env::vars_os() {
            let is_of_subscribe = name.as_encoded_bytes().starts_with(b"TIDINGS_SUBSCRIBE_");
            if is_of_subscribe
                || ["TIDINGS_TYPE", "TIDINGS_ID", "TIDINGS_TOPIC"].iter().any(|own| name == *own)
            {
                command.env_remove(name);
            }
        }
        command.envs(variables.iter().copied().filter(|(_, value)| is_fit(value)));
        command.spawn()
    }

    fn warn(&mut self, what: &str) {
        if !std::mem::replace(&mut self.has_warned, true) {
            say(&format!("tidings: --exec: {what}"));
        }
    }
}

/// Whether an environment variable can hold this value.
fn is_fit(value: &str) -> bool {
    value.len() <= MAX_VALUE_BYTES && !value.contains('\0')
}

/// Writes a command's input, and waits for its end. A command that does not read its input is not an error.
async fn feed(mut child: Child, data: &str) -> anyhow::Result<std::process::ExitStatus> {
    let input = child.stdin.take();
    let mut written = pin!(async move {
        if let Some(mut input) = input {
            let _ = input.write_all(data.as_bytes()).await;
        }
    });
    let ended = tokio::select! {
        status = child.wait() => status,
        () = &mut written => child.wait().await,
    };
    ended.context("cannot wait for the command of --exec")
}
