//! Flags of `tidings publish`.

use std::path::PathBuf;

use clap::{ArgGroup, Args};

use super::{
    Hub,
    units::{Time, retry},
};

/// Publish to a topic.
///
/// Without DATA, standard input is published: as one update, or with --lines each line as soon as it is there.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tidings publish news 'Hello, world'
  tidings publish news --type weather '{\"celsius\": 21}'
  make 2>&1 | tidings publish builds/42 --lines --close finished
  tidings publish metrics --ndjson < updates.ndjson
  tidings publish album --file photo.png")]
#[command(group = ArgGroup::new("source").args(["data", "lines", "ndjson", "file"]))]
pub(crate) struct Publish {
    /// The topic, such as news or builds/42
    pub(crate) topic: String,

    /// The data of one update; standard input if it is left out
    pub(crate) data: Option<String>,

    /// Publish each line of standard input as an update. A line that the hub refuses is left out and reported, and the
    /// exit code is 1 then; bytes that are no UTF-8 become U+FFFD
    #[arg(long)]
    pub(crate) lines: bool,

    /// With --lines, leave out lines that are not UTF-8
    #[arg(long, requires = "lines")]
    pub(crate) utf8_only: bool,

    /// Publish each line of standard input as a JSON object with data, type, id, retry
    #[arg(long, conflicts_with_all = ["event_type", "id", "retry"])]
    pub(crate) ndjson: bool,

    /// Publish a file: the hub stores it, and tells subscribers its URL, type, size and SHA-256
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,

    /// The file's media type, as image/png; told from its name if it is a common one, else application/octet-stream
    #[arg(long, value_name = "TYPE", requires = "file")]
    pub(crate) content_type: Option<String>,

    /// The event type, which says which listeners of an EventSource are called
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) event_type: Option<String>,

    /// The event's ID; the hub gives one if it is left out
    #[arg(long, conflicts_with = "lines")]
    pub(crate) id: Option<String>,

    /// Tell subscribers to wait this long before they reconnect
    #[arg(long, value_name = "DURATION", value_parser = retry)]
    pub(crate) retry: Option<Time>,

    /// Close the topic behind the updates, for this reason; alone, close it and publish nothing
    #[arg(long, value_name = "REASON")]
    pub(crate) close: Option<String>,

    #[command(flatten)]
    pub(crate) hub: Hub,
}
