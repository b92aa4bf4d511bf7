//! `tidings log`: look after a history on disk.

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
        // Whoever read our output, as `head` does, has seen enough.
        Err(error) if is_broken_pipe(&error) => Ok(()),
        done => done,
    }
}

/// What to do about a log that can't be opened.
pub(crate) fn explain(error: OpenError, log: &Path) -> anyhow::Error {
    let hint = match &error {
        OpenError::InUse { .. } => {
            "a hub has it open: stop that one, publish through it, or use another directory (serve has --data, and \
             --memory)"
                .to_owned()
        }
        OpenError::Damaged { .. } | OpenError::NotADatabase { .. } => format!(
            "`tidings log check {0}` says what is damaged, `tidings log export {0} > rescued.ndjson` saves what can be \
             read, and `tidings serve --data {0} --new-epoch` moves it aside and begins anew; or restore a backup, and \
             begin a new epoch with it",
            log.display()
        ),
        OpenError::Foreign { .. } => {
            "use the version of tidings that wrote it, or another directory".to_owned()
        }
        _ => return anyhow::Error::new(error).context("the history can't be opened"),
    };
    anyhow::Error::new(error).context("the history can't be opened").context(Hint(hint))
}

fn open(files: &LogFiles) -> anyhow::Result<DiskView> {
    DiskView::open(&files.log).map_err(|error| explain(error, &files.log))
}

/// What the given topics and patterns ask for; everything if there are none.
fn selector(topics: &[String]) -> Result<Selector, UsageError> {
    if topics.is_empty() {
        return Ok(Selector::everything());
    }
    let filters = topics.iter().map(|text| TopicFilter::parse(text)).collect::<Result<Vec<_>, _>>();
    Ok(filters.map_err(|error| UsageError(error.to_string()))?.into_iter().collect())
}
