//! The history of a hub: where it is kept, and how much of it.

use std::{sync::Arc, time::Duration};

use tidings_hub::log::{DiskLog, DiskSettings, Durability, Log, MemoryLog, NewEpoch, Retention};

use crate::{
    cli::{self, Serve},
    cmd::log::explain,
    exit::UsageError,
};

/// How long what was answered may wait to be on the disk, unless somebody says so.
const SYNC_EVERY: Duration = Duration::from_millis(100);

/// The log that was asked for, and what to say of it.
pub(super) fn open(serve: &Serve) -> anyhow::Result<(Arc<dyn Log>, String)> {
    if serve.memory {
        let retention = retention(serve, Retention::in_memory())?;
        let history = format!("in memory, {}; it ends with this process", kept(&retention));
        return Ok((Arc::new(MemoryLog::new(retention)), history));
    }
    let mut settings = DiskSettings::default();
    settings.retention = retention(serve, settings.retention)?;
    settings.durability = match serve.durability {
        cli::Durability::Fsync if serve.sync_every.is_some() => {
            let reason = "--sync-every is for --durability write; with fsync nothing waits to be on the disk";
            return Err(UsageError(reason.to_owned()).into());
        }
        cli::Durability::Fsync => Durability::Fsync,
        cli::Durability::Write => Durability::Write { sync_every: serve.sync_every.unwrap_or(SYNC_EVERY) },
    };
    settings.readers = serve.readers.into();
    settings.waiting_reads = usize::try_from(serve.max_waiting_reads).unwrap_or(usize::MAX);
    settings.attachments.each = serve.max_attachment;
    settings.attachments.all = serve.attachment_quota;
    let history = format!("on disk in {}, {}", serve.data.display(), kept(&settings.retention));
    let log = if serve.new_epoch {
        let opened = DiskLog::open_in_new_epoch(&serve.data, settings);
        let (log, begun) = opened.map_err(|error| explain(error, &serve.data))?;
        say(&begun);
        log
    } else {
        DiskLog::open(&serve.data, settings).map_err(|error| explain(error, &serve.data))?
    };
    Ok((Arc::new(log), history))
}

fn retention(serve: &Serve, mut retention: Retention) -> Result<Retention, UsageError> {
    let limits = &mut retention.limits;
    limits.bytes = serve.max_history.unwrap_or(limits.bytes);
    limits.records = serve.max_updates.unwrap_or(limits.records);
    for rule in &serve.retain {
        if retention.rules.iter().any(|earlier| earlier.filter == rule.filter) {
            let filter = &rule.filter;
            return Err(UsageError(format!(
                "two rules say how much is kept of '{filter}'; give one, as --retain '{filter}=7d,1000'"
            )));
        }
        retention.rules.push(rule.clone());
    }
    Ok(retention)
}

/// Says how much is kept, as `up to 8192 MiB, less of news/*, *`.
fn kept(Retention { limits, rules, .. }: &Retention) -> String {
    let mut parts = vec![format!("up to {} MiB", limits.bytes >> 20)];
    if limits.records < u64::MAX {
        parts.push(format!("{} updates", limits.records));
    }
    let rules = rules.iter().map(|rule| rule.filter.to_string()).collect::<Vec<_>>();
    if !rules.is_empty() {
        parts.push(format!("less of {}", rules.join(", ")));
    }
    parts.join(", ")
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
