//! `tidings token key --api`: a new API key, and what the access file has to have of it.

use std::{fmt::Write, path::Path, time::SystemTime};

use anyhow::Context;
use tidings_hub::{AccessFile, NewApiKey};

use crate::{cli::MakeKey, exit::UsageError};

/// Prints the key to standard output, and the entry to standard error: a script that keeps the key shows the entry to its user.
pub(super) fn make(flags: &MakeKey) -> anyhow::Result<()> {
    let key = NewApiKey::random().context("there is no randomness for a key")?;
    let entry = entry(flags, &key);
    // The hub would read the same text.
    AccessFile::parse(&entry, Path::new(""))
        .map_err(|error| UsageError(format!("no hub would take this key: {error}")))?;
    eprintln!(
        "Put this into the access file. The key itself is printed once, and is kept nowhere.\n\n{entry}"
    );
    println!("{}", key.text());
    Ok(())
}

fn entry(flags: &MakeKey, key: &NewApiKey) -> String {
    let mut entry = format!("[[key]]\nid = \"{}\"\nsha256 = \"{}\"\n", key.id(), key.sha256());
    let lists = [("publish", &flags.publish), ("read", &flags.read), ("rights", &flags.right)];
    for (name, texts) in lists.into_iter().filter(|(_, texts)| !texts.is_empty()) {
        let texts: Vec<_> = texts.iter().map(|text| quoted(text)).collect();
        let _ = writeln!(entry, "{name} = [{}]", texts.join(", "));
    }
    if let Some(life) = flags.life.and_then(|life| SystemTime::now().checked_add(life.0)) {
        let _ = writeln!(entry, "expires = {}", humantime::format_rfc3339_seconds(life));
    }
    if let Some(note) = &flags.note {
        let _ = writeln!(entry, "note = {}", quoted(note));
    }
    entry
}

/// A text as TOML has it: as JSON has it, too, but for one character.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}
