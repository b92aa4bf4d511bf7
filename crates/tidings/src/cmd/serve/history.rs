//! The history of a hub: where it is kept, and how much of it.

use std::{path::Path, sync::Arc, time::Duration};

use tidings_hub::log::{self, Durability, Log, LogSettings, LogUrl, NewEpoch, OpenError, Opened};

use crate::{
    cli::{self, Serve},
    cmd::log::explain,
    exit::UsageError,
};

/// The directory of the history, unless somebody names another.
const DIRECTORY: &str = "tidings-data";

/// How long what was answered may wait to be on the disk, unless somebody says so.
const SYNC_EVERY: Duration = Duration::from_millis(100);

/// The log that `--log`, `--data` or `--memory` names.
pub(super) fn url(serve: &Serve) -> Result<LogUrl, UsageError> {
    match (&serve.log, &serve.data, serve.memory) {
        (Some(url), None, false) => Ok(url.clone()),
        (Some(_), Some(data), _) => Err(UsageError(format!(
            "--log and --data {} both say where the history is kept; give one of them (--data DIR is --log file:DIR)",
            data.display()
        ))),
        (Some(_), None, true) => Err(UsageError(
            "--log and --memory both say where the history is kept; give one of them (--memory is --log memory:)"
                .to_owned(),
        )),
        (None, _, true) => Ok(LogUrl::memory()),
        (None, data, false) => Ok(LogUrl::file(data.as_deref().unwrap_or(Path::new(DIRECTORY)))),
    }
}

/// The log at `url`, and where it is, for people.
pub(super) fn open(serve: &Serve, url: &LogUrl) -> anyhow::Result<(Arc<dyn Log>, String)> {
    let mut settings = LogSettings::default();
    settings.max_bytes = serve.max_history;
    settings.max_records = serve.max_updates;
    for rule in &serve.retain {
        if settings.rules.iter().any(|earlier| earlier.filter == rule.filter) {
            let filter = &rule.filter;
            return Err(UsageError(format!(
                "two rules say how much is kept of '{filter}'; give one, as --retain '{filter}=7d,1000'"
            ))
            .into());
        }
        settings.rules.push(rule.clone());
    }
    settings.durability = match serve.durability {
        None => None,
        Some(cli::Durability::Fsync) if serve.sync_every.is_some() => {
            let reason = "--sync-every is for --durability write; with fsync nothing waits to be on the disk";
            return Err(UsageError(reason.to_owned()).into());
        }
        Some(cli::Durability::Fsync) => Some(Durability::Fsync),
        Some(cli::Durability::Write) => {
            Some(Durability::Write { sync_every: serve.sync_every.unwrap_or(SYNC_EVERY) })
        }
    };
    settings.new_epoch = serve.new_epoch;
    settings.attachments.each = serve.max_attachment;
    settings.attachments.all = serve.attachment_quota;
    settings.readers = serve.readers.into();
    settings.waiting_reads = usize::try_from(serve.max_waiting_reads).unwrap_or(usize::MAX);
    let Opened { log, description, new_epoch, .. } =
        log::open(url, settings).map_err(|error| match (error, url.directory()) {
            (error @ OpenError::Unsuited { .. }, _) => {
                UsageError(format!("{error}; leave the flag out, or choose another log")).into()
            }
            (error, Some(directory)) => explain(error, directory),
            (error, None) => anyhow::Error::new(error).context("the history can't be opened"),
        })?;
    if let Some(begun) = &new_epoch {
        say(begun);
    }
    Ok((log, description))
}

/// Says what the new epoch means; never in silence.
fn say(begun: &NewEpoch) {
    match begun {
        NewEpoch::Renewed { .. } => tracing::warn!(
            "A NEW EPOCH BEGINS, with the updates that were kept: who comes back with an ID from before is told of a gap. \
             Leave --new-epoch out from now on."
        ),
        NewEpoch::MovedAside { damaged, reason } => tracing::warn!(
            "A NEW EPOCH BEGINS, WITHOUT THE OLD UPDATES: the log was damaged ({reason}) and is at {} now. Who comes back \
             with an ID from before is told of a gap. `tidings log export {}` prints what can be read of it. Leave \
             --new-epoch out from now on.",
            damaged.display(),
            damaged.display(),
        ),
        _ => {}
    }
}
