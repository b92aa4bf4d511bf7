//! A command for each event.

use std::process::Stdio;

use anyhow::Context;
use tokio::{io::AsyncWriteExt, process::Command};

use super::print::Shown;

/// Runs `command` in a shell, with the event's data as its standard input, and waits for it: events stay in order, and a
/// slow command slows the stream down. A command that fails is reported, and the next event comes all the same.
pub(super) async fn exec(command: &str, event: &Shown) -> anyhow::Result<()> {
    let mut child = Command::new("sh")
        .args(["-c", command])
        .env("TIDINGS_TYPE", &event.event_type)
        .env("TIDINGS_ID", &event.id)
        .env("TIDINGS_TOPIC", event.topic.as_deref().unwrap_or_default())
        .stdin(Stdio::piped())
        .spawn()
        .context("no shell can be started for --exec")?;
    if let Some(mut input) = child.stdin.take() {
        // A command that does not read its input is as good as one that does.
        let _ = input.write_all(event.data.as_bytes()).await;
    }
    let status = child.wait().await.context("the command of --exec can't be awaited")?;
    if !status.success() {
        eprintln!("tidings: the command of --exec failed ({status}) for event {:?}", event.id);
    }
    Ok(())
}
