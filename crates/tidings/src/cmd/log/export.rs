//! `tidings log export`: prints a log's updates in order.

use std::io::{BufWriter, Write, stdout};

use tidings_hub::{
    EventFormat, Selector,
    log::{DiskView, Found, Kept, Unreadable},
};

use crate::{
    cli::{ExportFormat, LogExport},
    exit::{DamagedLog, UsageError},
    progress::Progress,
    terminal::{on_stdout, say},
};

pub(super) fn run(export: &LogExport) -> anyhow::Result<()> {
    let selector = super::selector(&export.topic)?;
    let view = super::open(&export.files)?;
    let after = after(&view, &export.from, &selector)?;
    let mut progress = Progress::new("exported");
    let mut out = BufWriter::with_capacity(64 << 10, stdout().lock());
    let (mut count, mut unreadable) = (0, 0_u64);
    for found in view.records(selector, after) {
        match found? {
            Found::Kept(kept) => {
                write(&mut out, export.format, &kept)?;
                count += 1;
                progress.show(count, 0);
            }
            Found::Unreadable(damage) => {
                unreadable += 1;
                report(&damage);
            }
        }
    }
    out.flush()?;
    drop(progress);
    match unreadable {
        0 => Ok(()),
        _ => Err(DamagedLog(format!(
            "{count} updates are exported; {unreadable} unreadable places are left out of {}",
            view.path().display()
        ))
        .into()),
    }
}

/// The sequence after which the export begins.
fn after(view: &DiskView, from: &str, selector: &Selector) -> anyhow::Result<u64> {
    if from == "start" {
        return Ok(0);
    }
    // Several topics may have the ID. The exported topics come first.
    let position = match view.find(from, selector)? {
        None => view.find(from, &Selector::everything())?,
        position => position,
    };
    Ok(position.ok_or_else(|| {
        UsageError(format!(
            "--from {from}: no event of this log has that ID, or several have it; name a --topic"
        ))
    })?)
}

fn write(out: &mut impl Write, format: ExportFormat, kept: &Kept) -> anyhow::Result<()> {
    let text = match format {
        ExportFormat::Ndjson => serde_json::to_string(kept)? + "\n",
        ExportFormat::EventStream => {
            let mut event = Vec::new();
            EventFormat::TopicLine.encode(&kept.record, &mut event);
            String::from_utf8(event)?
        }
    };
    Ok(out.write_all(on_stdout(&text).as_bytes())?)
}

/// Reports the updates that are missing from the output, with the reason.
pub(super) fn report(damage: &Unreadable) {
    say(&format!("tidings: {damage}"));
}
