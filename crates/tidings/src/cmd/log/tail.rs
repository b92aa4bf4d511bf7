//! `tidings log tail`: prints the newest updates.

use std::{thread, time::Duration};

use tidings_hub::log::{DiskView, Found};

use crate::{cli::LogTail, cmd::subscribe::print::Printer, exit::DamagedLog};

/// How often to read the log again. A database file sends no notice of changes.
const INTERVAL: Duration = Duration::from_millis(100);

pub(super) fn run(tail: &LogTail) -> anyhow::Result<()> {
    let selector = super::selector(&tail.topic)?;
    let view = super::open(&tail.files)?;
    let printer = Printer { json: tail.json, raw: tail.raw, is_hub: true, ..Printer::default() };
    let mut after = view.before_newest(&selector, tail.count)?;
    let mut unreadable = 0;
    loop {
        after = print(&view, &printer, selector.clone(), after, &mut unreadable)?;
        if !tail.follow {
            break;
        }
        thread::sleep(INTERVAL);
    }
    match unreadable {
        0 => Ok(()),
        _ => Err(DamagedLog("not all of it can be read".into()).into()),
    }
}

/// Prints the records after `after`, and returns the position it has reached.
fn print(
    view: &DiskView,
    printer: &Printer,
    selector: tidings_hub::Selector,
    after: u64,
    unreadable: &mut u64,
) -> anyhow::Result<u64> {
    let mut records = view.records(selector, after);
    for found in &mut records {
        match found? {
            // Old records of which only the close is left are not new.
            Found::Kept(kept) if kept.is_tombstone => {}
            Found::Kept(kept) => printer.record(&kept.record)?,
            Found::Unreadable(damage) => {
                *unreadable += 1;
                super::export::report(&damage);
            }
        }
    }
    Ok(records.reached())
}
