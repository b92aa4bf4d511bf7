//! Flags of `tidings log`.

use std::{ffi::OsString, path::PathBuf};

use clap::{
    Args, Subcommand, ValueEnum,
    builder::{OsStringValueParser, TypedValueParser},
};
use tidings_hub::log::{InvalidLogUrl, LogUrl, Retention};

use super::units::{Bytes, Time, retry};
use crate::config::defaults;

/// Inspect, check, export or import a history on disk
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tidings log stat tidings-data
  tidings log check tidings-data")]
pub(crate) struct Log {
    #[command(subcommand)]
    pub(crate) command: LogCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LogCommand {
    Stat(LogStat),
    Tail(LogTail),
    Check(LogCheck),
    Export(LogExport),
    Import(LogImport),
}

/// Where the log is.
#[derive(Debug, Args)]
pub(crate) struct LogFiles {
    /// The directory of a hub (its --data DIR, or --log file:DIR), or a database that was moved aside
    #[arg(value_name = "DIR", value_parser = OsStringValueParser::new().try_map(directory))]
    pub(crate) log: PathBuf,
}

/// Show how much is kept, from when to when, and of which topics
///
/// A hub may have the log open.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  tidings log stat tidings-data --json")]
pub(crate) struct LogStat {
    #[command(flatten)]
    pub(crate) files: LogFiles,

    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// Print the newest updates, in the same way as `tidings subscribe`
///
/// A hub may have the log open.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  tidings log tail tidings-data -n 100 --topic 'builds/*' --follow")]
pub(crate) struct LogTail {
    #[command(flatten)]
    pub(crate) files: LogFiles,

    /// How many updates to print
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10)]
    pub(crate) count: usize,

    /// Continue with updates that are published from now on
    #[arg(short, long)]
    pub(crate) follow: bool,

    /// Only updates of this topic; 'builds/*' is every topic below builds/; repeatable
    #[arg(long, value_name = "TOPIC")]
    pub(crate) topic: Vec<String>,

    /// Print one JSON object a line
    #[arg(long)]
    pub(crate) json: bool,

    /// Print control characters to a terminal unchanged. Otherwise a terminal gets \u001b in their place
    #[arg(long)]
    pub(crate) raw: bool,
}

/// Check every page, every update and every published file of a log
///
/// Nothing is changed, and a hub may have the log open. Exit code: 3 if something is damaged.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  tidings log check tidings-data")]
pub(crate) struct LogCheck {
    #[command(flatten)]
    pub(crate) files: LogFiles,

    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// Print all updates of a log in order
///
/// `tidings log import` reads them. A hub may have the log open. If the log is damaged, the command prints the updates that
/// can be read and names those that cannot. Exit code: 3 if something is damaged.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tidings log export news.d > news.ndjson
  tidings log export news.d --topic 'builds/*' --format event-stream")]
pub(crate) struct LogExport {
    #[command(flatten)]
    pub(crate) files: LogFiles,

    /// The form of the output. Only NDJSON has everything of an update
    #[arg(long, value_enum, default_value_t = ExportFormat::Ndjson)]
    pub(crate) format: ExportFormat,

    /// Only updates of this topic; 'builds/*' is every topic below builds/; repeatable
    #[arg(long, value_name = "TOPIC")]
    pub(crate) topic: Vec<String>,

    /// Where to begin: start, or the ID of an event, to begin after this event
    #[arg(long, value_name = "PLACE", default_value = "start")]
    pub(crate) from: String,
}

/// The form of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportFormat {
    /// A JSON object a line
    Ndjson,
    /// An event stream, with a topic line in each event
    EventStream,
}

/// Append exported updates to a log, or begin a log with them
///
/// No hub may have the log open. Publishers' IDs, idempotency keys and times are kept. An ID that a hub made is a position in its
/// own log, so the update gets a new one. Importing the same updates again appends nothing.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tidings log import new.d news.ndjson
  tidings log export old.d | tidings log import new.d
  curl -N http://127.0.0.1:4400/topics/a > a.txt; tidings log import new.d a.txt --topic a")]
pub(crate) struct LogImport {
    /// The directory of the log, or its URL, file:DIR
    #[arg(value_parser = OsStringValueParser::new().try_map(directory))]
    pub(crate) dir: PathBuf,

    /// What to read: NDJSON as `tidings log export` prints it, or with --topic an event stream [default: standard input]
    pub(crate) file: Option<PathBuf>,

    /// Read an event stream, as updates of this topic
    #[arg(long, value_name = "TOPIC")]
    pub(crate) topic: Option<String>,

    /// Keep at most this much history; the oldest updates are deleted
    #[arg(long, value_name = "BYTES", default_value_t = Bytes(Retention::on_disk().limits.bytes))]
    pub(crate) max_history: Bytes,

    /// The longest reconnection time (`retry`) that an update may have, from 100ms to 1day
    #[arg(long, value_name = "DURATION", default_value_t = Time(defaults().hub.max_retry), value_parser = retry)]
    pub(crate) max_retry: Time,
}

/// The directory that a path, or the URL of a log, names.
fn directory(text: OsString) -> Result<PathBuf, String> {
    match text.to_str() {
        Some(url) if LogUrl::is_meant_by(url) => {
            let url: LogUrl = url.parse().map_err(|error: InvalidLogUrl| error.to_string())?;
            url.directory().map(PathBuf::from).ok_or_else(|| {
                format!(
                    "{url} is not on disk; give a directory, or file:DIR, or ask the hub that has the log"
                )
            })
        }
        _ => Ok(text.into()),
    }
}
