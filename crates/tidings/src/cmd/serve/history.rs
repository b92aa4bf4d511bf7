//! The history of a hub: where it is kept, and how much of it.

use std::sync::Arc;

use tidings_hub::{
    TopicFilter,
    log::{DiskLog, DiskSettings, Durability, Log, MemoryLog, NewEpoch, Retention},
};

use crate::{
    cli::{self, Serve},
    cmd::log::explain,
};

/// The log that was asked for, and what to say of it.
pub(super) fn open(serve: &Serve) -> anyhow::Result<(Arc<dyn Log>, String)> {
    if serve.memory {
        let retention = retention(serve, Retention::in_memory());
        let history = format!("in memory, {}; it ends with this process", kept(&retention));
        return Ok((Arc::new(MemoryLog::new(retention)), history));
    }
    let mut settings = DiskSettings::default();
    settings.retention = retention(serve, settings.retention);
    settings.durability = match serve.durability {
        cli::Durability::Fsync => Durability::Fsync,
        cli::Durability::Write => Durability::Write { sync_every: serve.sync_every },
    };
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

fn retention(serve: &Serve, mut retention: Retention) -> Retention {
    let limits = &mut retention.limits;
    limits.bytes = serve.max_history.unwrap_or(limits.bytes);
    limits.records = serve.max_updates.unwrap_or(limits.records);
    for rule in &serve.retain {
        match rule.filter {
            TopicFilter::All => {
                limits.age = rule.limits.age.or(limits.age);
                limits.bytes = limits.bytes.min(rule.limits.bytes);
                limits.records = limits.records.min(rule.limits.records);
            }
            _ => retention.rules.push(rule.clone()),
        }
    }
    retention
}

/// Says how much is kept, as `up to 8192 MiB, for 7days, and less of 2 patterns`.
fn kept(Retention { limits, rules, .. }: &Retention) -> String {
    let mut parts = vec![format!("up to {} MiB", limits.bytes >> 20)];
    if limits.records < u64::MAX {
        parts.push(format!("{} updates", limits.records));
    }
    if let Some(age) = limits.age {
        parts.push(humantime::format_duration(age).to_string());
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
