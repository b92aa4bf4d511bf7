//! Flags of `tidings log`.

use std::{ffi::OsString, path::PathBuf};

use clap::{
    Args, Subcommand, ValueEnum,
    builder::{OsStringValueParser, TypedValueParser},
};
use tidings_hub::log::{InvalidLogUrl, LogUrl, Retention};

use super::units::{Bytes, Time, retry};
use crate::config::defaults;

/// Look after a history on disk.
#[derive(Debug, Args)]
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
    /// The directory that a hub was given with --data, or the file:DIR that it was given with --log, or a database that was
    /// moved aside
    #[arg(value_name = "DIR", value_parser = OsStringValueParser::new().try_map(directory))]
    pub(crate) log: PathBuf,
}

/// Say what a log holds.
///
/// A hub may have it open.
#[derive(Debug, Args)]
pub(crate) struct LogStat {
    #[command(flatten)]
    pub(crate) files: LogFiles,

    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// Print the newest updates, as `tidings subscribe` does.
///
/// A hub may have the log open, or not.
#[derive(Debug, Args)]
pub(crate) struct LogTail {
    #[command(flatten)]
    pub(crate) files: LogFiles,

    /// How many updates
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10)]
    pub(crate) count: usize,

    /// Go on with what is published from now on
    #[arg(short, long)]
    pub(crate) follow: bool,

    /// Only updates of this topic, or of 'builds/*', all below builds/; repeatable
    #[arg(long, value_name = "TOPIC")]
    pub(crate) topic: Vec<String>,

    /// Print one JSON object a line
    #[arg(long)]
    pub(crate) json: bool,

    /// Print to a terminal as it is what could command it; shown as \u001b otherwise
    #[arg(long)]
    pub(crate) raw: bool,
}

/// Check a log: every page, every update, and that its tables agree.
///
/// Nothing is changed, and a hub may have it open. Ends with exit code 3 if something is damaged.
#[derive(Debug, Args)]
pub(crate) struct LogCheck {
    #[command(flatten)]
    pub(crate) files: LogFiles,

    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// Print a log's updates in order, to be imported elsewhere.
///
/// A hub may have it open. Of a damaged log it prints what can be read, says what can't, and ends with exit code 3.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tidings log export news.d > news.ndjson
  tidings log export news.d --topic 'builds/*' --format event-stream")]
pub(crate) struct LogExport {
    #[command(flatten)]
    pub(crate) files: LogFiles,

    /// What to print: only NDJSON says everything of an update
    #[arg(long, value_enum, default_value_t = ExportFormat::Ndjson)]
    pub(crate) format: ExportFormat,

    /// Only updates of this topic, or of 'builds/*', all below builds/; repeatable
    #[arg(long, value_name = "TOPIC")]
    pub(crate) topic: Vec<String>,

    /// Where to begin: start, or behind the event with this ID
    #[arg(long, value_name = "PLACE", default_value = "start")]
    pub(crate) from: String,
}

/// What an export looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportFormat {
    /// A JSON object a line
    Ndjson,
    /// An event stream, with a topic line in each event
    EventStream,
}

/// Append exported updates to a log; one is begun if there is none.
///
/// No hub may have it open. Publishers' IDs, idempotency keys and times are kept; IDs that a hub gave name places of its
/// log, and become new ones. Importing the same again appends nothing.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tidings log import new.d news.ndjson
  tidings log export old.d | tidings log import new.d
  curl -N http://127.0.0.1:4400/topics/news > news.stream; tidings log import new.d news.stream --topic news")]
pub(crate) struct LogImport {
    /// The directory of the log, or its URL, file:DIR
    #[arg(value_parser = OsStringValueParser::new().try_map(directory))]
    pub(crate) dir: PathBuf,

    /// What to read: NDJSON as `tidings log export` prints it, or with --topic an event stream; standard input if it is
    /// left out
    pub(crate) file: Option<PathBuf>,

    /// Read an event stream, as updates of this topic
    #[arg(long, value_name = "TOPIC")]
    pub(crate) topic: Option<String>,

    /// The most bytes of history that the log keeps
    #[arg(long, value_name = "BYTES", default_value_t = Bytes(Retention::on_disk().limits.bytes))]
    pub(crate) max_history: Bytes,

    /// The longest reconnection time (`retry`) that an update may have, up to 1day, as a hub's --max-retry
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
                    "{url} is not on disk: ask the hub that has it; here a directory is expected, or file:DIR"
                )
            })
        }
        _ => Ok(text.into()),
    }
}
