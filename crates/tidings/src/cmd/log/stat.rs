//! `tidings log stat`: summarises the content of a log.

use std::{
    io::{Write, stdout},
    time::SystemTime,
};

use serde_json::{Value, json};
use tidings_hub::log::{DiskStat, Epoch};

use crate::{cli::LogStat, exit::Hint, terminal::on_stdout};

pub(super) fn run(stat: &LogStat) -> anyhow::Result<()> {
    let view = super::open(&stat.files)?;
    let counted = view.stat().map_err(|error| {
        let hint = format!("`tidings log check {}` lists the damage", stat.files.log.display());
        anyhow::Error::new(error).context(Hint(hint))
    })?;
    let text = if stat.json { format!("{}\n", json(&counted)) } else { table(&counted) };
    Ok(stdout().write_all(on_stdout(&text).as_bytes())?)
}

fn json(stat: &DiskStat) -> Value {
    let position = |position: &Option<(u64, SystemTime)>| {
        position.map(|(sequence, at)| json!({ "sequence": sequence, "time": time(at) }))
    };
    let files: Vec<_> =
        stat.files.iter().map(|file| json!({ "name": file.name, "bytes": file.bytes })).collect();
    let topics = stat.largest_topics.iter();
    let topics: Vec<_> =
        topics.map(|topic| json!({ "topic": topic.topic, "updates": topic.records })).collect();
    json!({
        "epoch": epoch(stat.epoch),
        "version": stat.version,
        "updates": stat.records,
        "first": position(&stat.first),
        "newest": position(&stat.newest),
        "bytes": stat.bytes,
        "files": files,
        "topics": stat.topics,
        "largest_topics": topics,
        "closed_topics": stat.closed_topics,
        "evicted": {
            "last": stat.evicted,
            "topics": stat.evicted_topics,
            "floor": stat.evicted_floor,
        },
    })
}

fn table(stat: &DiskStat) -> String {
    let position = |position: &Option<(u64, SystemTime)>| match position {
        Some((sequence, at)) => format!("{sequence}, of {}", time(*at)),
        None => "none".into(),
    };
    let evicted = match stat.evicted {
        0 => "none".into(),
        last => format!(
            "up to {last}, of {} topics and any other up to {}",
            stat.evicted_topics, stat.evicted_floor
        ),
    };
    let mut rows = vec![
        ("Epoch", epoch(stat.epoch)),
        ("Version", stat.version.to_string()),
        ("Updates", stat.records.to_string()),
        ("First", position(&stat.first)),
        ("Newest", position(&stat.newest)),
        ("Evicted", evicted),
        ("Bytes", format!("{} as counted by limits", bytes(stat.bytes))),
    ];
    rows.extend(stat.files.iter().map(|file| ("", format!("{} in {}", bytes(file.bytes), file.name))));
    rows.push(("Topics", format!("{}, and {} closed", stat.topics, stat.closed_topics)));
    rows.extend(
        stat.largest_topics.iter().map(|topic| ("", format!("{:>9} {}", topic.records, topic.topic))),
    );
    rows.into_iter().map(|(name, value)| format!("{name:<9}{value}\n")).collect()
}

fn epoch(epoch: Epoch) -> String {
    format!("{:012x}", epoch.bits())
}

fn time(time: SystemTime) -> String {
    humantime::format_rfc3339_millis(time).to_string()
}

fn bytes(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        1_048_576..1_073_741_824 => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
        _ => format!("{:.1} GiB", bytes as f64 / 1_073_741_824.0),
    }
}
