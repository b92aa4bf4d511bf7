//! Flags of `tidings publish`.

use std::path::PathBuf;

use clap::{ArgGroup, Args};

use super::{
    Hub, TokenFlags,
    units::{Time, retry},
};

/// Publish to a topic
///
/// Without DATA the command publishes standard input: as one update, or line by line with --lines or --ndjson. Exit code: 0 if
/// everything was published, 1 if something was not, 2 if the hub cannot be reached.
///
/// The hub gets the token of --token-file, or the one in the variable TIDINGS_TOKEN.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tidings publish news 'Hello, world'
  tidings publish news --type weather '{\"celsius\": 21}'
  make 2>&1 | tidings publish builds/42 --lines --close finished
  tidings publish metrics --ndjson < updates.ndjson
  tidings publish album --file photo.png
  tidings publish news 'Hello' --token-file backend.token")]
#[command(group = ArgGroup::new("source").args(["data", "lines", "ndjson", "file"]))]
pub(crate) struct Publish {
    /// The topic, such as news or builds/42
    pub(crate) topic: String,

    /// The data of one update; without it, standard input
    pub(crate) data: Option<String>,

    /// Publish each line of standard input as an update. A line that the hub refuses is left out and reported, and the exit
    /// code is 1. Bytes that are not UTF-8 become U+FFFD
    #[arg(long, help_heading = SOURCE)]
    pub(crate) lines: bool,

    /// With --lines: leave out lines that are not UTF-8
    #[arg(long, requires = "lines", help_heading = SOURCE)]
    pub(crate) utf8_only: bool,

    /// Publish each line of standard input as a JSON object with data, type, id, retry
    #[arg(long, conflicts_with_all = ["event_type", "id", "retry"], help_heading = SOURCE)]
    pub(crate) ndjson: bool,

    /// Publish a file. The hub stores it, and tells subscribers its URL, type, size and SHA-256
    #[arg(long, value_name = "FILE", help_heading = SOURCE)]
    pub(crate) file: Option<PathBuf>,

    /// With --file: the media type, such as image/png [default: by the file's name if it is a common one, otherwise
    /// application/octet-stream]
    #[arg(long, value_name = "TYPE", requires = "file", help_heading = SOURCE)]
    pub(crate) content_type: Option<String>,

    /// The event type, which decides which listeners of an EventSource are called
    #[arg(long = "type", value_name = "TYPE", help_heading = UPDATE)]
    pub(crate) event_type: Option<String>,

    /// The event's ID [default: the hub makes one]
    #[arg(long, conflicts_with = "lines", help_heading = UPDATE)]
    pub(crate) id: Option<String>,

    /// Tell subscribers to wait this long before they reconnect, from 100ms to 1day
    #[arg(long, value_name = "DURATION", value_parser = retry, help_heading = UPDATE)]
    pub(crate) retry: Option<Time>,

    /// Close the topic after the updates, for this reason. Without any data, only close the topic
    #[arg(long, value_name = "REASON", help_heading = UPDATE)]
    pub(crate) close: Option<String>,

    #[command(flatten)]
    pub(crate) token: TokenFlags,

    #[command(flatten)]
    pub(crate) hub: Hub,
}

const SOURCE: &str = "Source of the data";
const UPDATE: &str = "The update";
