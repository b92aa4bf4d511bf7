//! `tidings log`: tools for a history on disk.

mod check;
mod export;
mod import;
mod stat;
mod tail;

use std::path::Path;

use tidings_hub::{
    Selector, TopicFilter,
    log::{DiskView, OpenError},
};

use super::subscribe::is_broken_pipe;
use crate::{
    cli::{Log, LogCommand, LogFiles},
    exit::{Hint, UsageError},
};

pub(crate) async fn run(log: Log) -> anyhow::Result<()> {
    let done = match log.command {
        LogCommand::Stat(stat) => stat::run(&stat),
        LogCommand::Tail(tail) => tail::run(&tail),
        LogCommand::Check(check) => check::run(&check),
        LogCommand::Export(export) => export::run(&export),
        LogCommand::Import(import) => import::run(import).await,
    };
    match done {
        // The reader has closed the pipe, as `head` does. This is not an error.
        Err(error) if is_broken_pipe(&error) => Ok(()),
        done => done,
    }
}

/// Explains how to continue with a log that cannot be opened.
pub(crate) fn explain(error: OpenError, log: &Path) -> anyhow::Error {
    let hint = match &error {
        OpenError::InUse { .. } => {
            "a hub has it open: stop that one, publish through it, or use another directory (serve has --data, and \
             --memory)"
                .to_owned()
        }
        OpenError::Damaged { .. } | OpenError::NotADatabase { .. } => format!(
            "`tidings log check {0}` lists the damage, `tidings log export {0} > rescued.ndjson` saves the readable \
             updates, and `tidings serve --data {0} --new-epoch` moves the log aside and begins a new one; or restore a backup, and \
             begin a new epoch with it",
            log.display()
        ),
        OpenError::Foreign { .. } => {
            "use the version of tidings that wrote it, or another directory".to_owned()
        }
        _ => return anyhow::Error::new(error).context("cannot open the history"),
    };
    anyhow::Error::new(error).context("cannot open the history").context(Hint(hint))
}

fn open(files: &LogFiles) -> anyhow::Result<DiskView> {
    DiskView::open(&files.log).map_err(|error| explain(error, &files.log))
}

/// The selector for the given topics and patterns. Without any, it selects everything.
fn selector(topics: &[String]) -> Result<Selector, UsageError> {
    if topics.is_empty() {
        return Ok(Selector::everything());
    }
    let filters = topics.iter().map(|text| TopicFilter::parse(text)).collect::<Result<Vec<_>, _>>();
    Ok(filters.map_err(|error| UsageError(error.to_string()))?.into_iter().collect())
}
