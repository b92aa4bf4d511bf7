//! `tidings log check`: searches a log for all kinds of damage.

use std::io::{Write, stdout};

use serde_json::{Value, json};
use tidings_hub::log::{Check, Part};

use crate::progress::Progress;
use crate::{
    cli::LogCheck,
    exit::{DamagedLog, Hint},
    terminal::on_stdout,
};

pub(super) fn run(check: &LogCheck) -> anyhow::Result<()> {
    let view = super::open(&check.files)?;
    let mut progress = Progress::new("checked");
    progress.show(0, 0);
    let found = view.check(|done, total| progress.show(done, total))?;
    drop(progress);
    let text = if check.json { format!("{}\n", json(&found)) } else { report(&found) };
    stdout().write_all(on_stdout(&text).as_bytes())?;
    if found.is_whole() {
        return Ok(());
    }
    let count = found.findings.len() as u64 + found.more;
    let log = check.files.log.display();
    let hint = format!(
        "keep a copy of {log}; `tidings log export {log} > rescued.ndjson` saves the readable updates, and `tidings log \
         import NEW_DIR rescued.ndjson` makes a log of it"
    );
    let problem = DamagedLog(format!("{} is damaged: {count} findings", view.path().display()));
    Err(anyhow::Error::new(problem).context(Hint(hint)))
}

fn json(check: &Check) -> Value {
    let findings: Vec<_> = check
        .findings
        .iter()
        .map(
            |finding| json!({ "part": name(finding.part), "what": finding.what, "do": advice(finding.part) }),
        )
        .collect();
    json!({ "whole": check.is_whole(), "updates": check.records, "findings": findings, "more": check.more })
}

/// Lists the findings. The last finding of each part of the log is followed by the fix for that part.
fn report(check: &Check) -> String {
    let mut text = String::new();
    for part in [Part::Database, Part::Records, Part::Topics, Part::Size, Part::Attachments] {
        let mut findings = check.findings.iter().filter(|finding| finding.part == part).peekable();
        if findings.peek().is_none() {
            continue;
        }
        text.extend(findings.map(|finding| format!("{}: {}\n", name(part), finding.what)));
        text.push_str(&format!("  {}\n", advice(part)));
    }
    if check.more > 0 {
        text.push_str(&format!("and {} more\n", check.more));
    }
    text.push_str(&match check.is_whole() {
        true => format!("complete: {} updates, all of them intact\n", check.records),
        false => format!("{} updates are intact\n", check.records),
    });
    text
}

fn name(part: Part) -> &'static str {
    match part {
        Part::Database => "database",
        Part::Records => "updates",
        Part::Topics => "topics",
        Part::Size => "size",
        Part::Attachments => "attachments",
        _ => "log",
    }
}

fn advice(part: Part) -> &'static str {
    match part {
        Part::Database => {
            "The file itself is damaged, so suspect the disk. Restore a backup, or export what can be read and import it \
             into a new directory; start the hub with --new-epoch after either."
        }
        Part::Records => {
            "These updates are lost here. Restore a backup that has them, and start the hub with --new-epoch; or export \
             the others and import them into a new directory."
        }
        Part::Topics => {
            "The updates are there, and what is said about them is wrong: subscribers of a topic may miss some without \
             being told. Export and import into a new directory, which says it anew."
        }
        Part::Attachments => {
            "The updates are there, and say what these files were. Copy the files from a backup of the directory \
             `attachments`: each has the ID for a name, and never changes."
        }
        _ => {
            "Only the count is wrong, so more or less is kept than --max-history says. Export and import into a new \
             directory counts anew."
        }
    }
}
