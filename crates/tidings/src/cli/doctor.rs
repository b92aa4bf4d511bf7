//! Flags of `tidings doctor`.

use std::{net::SocketAddr, time::Duration};

use clap::{Args, Subcommand, ValueEnum};

use super::RequestFlags;

/// Find out why an event stream does not stream, and which line to change.
///
/// Asks for the stream in several ways for up to 15 seconds, measures what arrives when, and says what is wrong, on which
/// hop, how sure that is, and what to change. A Tidings hub, or `tidings doctor origin` behind the same proxy, sends a stream
/// of known timing for it; of any other server it watches what comes. Only GET requests are repeated.
///
/// Exit code: 0 when nothing is wrong, 1 for findings at or above --fail-on, 2 when nothing could be measured.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "\
Examples:
  tidings doctor https://example.com/events
  tidings doctor https://example.com/events --connect-to 10.0.0.7:8080    past the proxy, to the server itself
  tidings doctor https://example.com/events -H 'Authorization: Bearer …' --idle
  tidings doctor origin --listen 127.0.0.1:8080                           stand in for the server, behind the same proxy
  tidings doctor llm https://api.example.com/v1/chat/completions --key-env API_KEY
  tidings doctor https://example.com/events --junit > doctor.xml          a build that fails when the stream is held back
  tidings doctor --explain buffered"
)]
pub(crate) struct Doctor {
    #[command(subcommand)]
    pub(crate) command: Option<DoctorCommand>,

    /// The stream
    #[arg(value_name = "URL", required_unless_present = "explain")]
    pub(crate) url: Option<String>,

    #[command(flatten)]
    pub(crate) request: RequestFlags,

    /// Connect here instead of where the URL says, to leave out the proxies in between. Host header and certificate stay
    /// those of the URL
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) connect_to: Option<String>,

    /// Speak HTTP/1.1 and offer nothing else
    #[arg(long = "http1.1", conflicts_with = "http2")]
    pub(crate) http1: bool,

    /// Speak HTTP/2 and offer nothing else, to an http:// URL too
    #[arg(long)]
    pub(crate) http2: bool,

    /// Also measure how long a silence may last: 125s, or as long as --idle=TIME says
    #[arg(long, value_name = "TIME", num_args = 0..=1, require_equals = true, default_missing_value = "125s",
          value_parser = bounded_time)]
    pub(crate) idle: Option<Duration>,

    /// Also measure how long a stream may last: 15m30s, or as long as --long=TIME says
    #[arg(long, value_name = "TIME", num_args = 0..=1, require_equals = true, default_missing_value = "15m30s",
          value_parser = bounded_time)]
    pub(crate) long: Option<Duration>,

    #[command(flatten)]
    pub(crate) report: ReportFlags,

    /// The least severity that makes the exit code 1
    #[arg(long, value_name = "SEVERITY", value_enum, ignore_case = true, default_value = "S2")]
    pub(crate) fail_on: Severity,

    /// Explain a rule or a fix by its name, or list them all with 'all', and do nothing else
    #[arg(long, value_name = "RULE")]
    pub(crate) explain: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DoctorCommand {
    Origin(DoctorOrigin),
    Llm(DoctorLlm),
}

/// Stand in for the server behind a proxy: send a stream of known timing at every path
///
/// Point the proxy at it and run `tidings doctor` against the proxy: what is wrong then is the proxy's doing.
#[derive(Debug, Args)]
pub(crate) struct DoctorOrigin {
    /// Where to listen, as address and port; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4401")]
    pub(crate) listen: SocketAddr,
}

/// Check how an LLM's answer streams, with one small completion
///
/// Costs a few tokens, and a few more for the answer that is cut off.
#[derive(Debug, Args)]
pub(crate) struct DoctorLlm {
    /// The URL of chat completions, responses or messages
    #[arg(value_name = "URL")]
    pub(crate) url: String,

    /// The environment variable that holds the API key
    #[arg(long, value_name = "NAME")]
    pub(crate) key_env: Option<String>,

    /// The model to ask
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub(crate) model: String,

    /// Connect here instead of where the URL says
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) connect_to: Option<String>,

    #[command(flatten)]
    pub(crate) report: ReportFlags,

    /// The least severity that makes the exit code 1
    #[arg(long, value_name = "SEVERITY", value_enum, ignore_case = true, default_value = "S2")]
    pub(crate) fail_on: Severity,
}

/// The form of the report.
#[derive(Debug, Args)]
pub(crate) struct ReportFlags {
    /// Print one JSON object
    #[arg(long, group = "form")]
    json: bool,

    /// Print JUnit's XML, which CI systems show as tests: a test for each finding, and one that is skipped for each thing
    /// that was not measured
    #[arg(long, group = "form")]
    junit: bool,

    /// Print SARIF, the form of static analysis tools, which code hosts show as alerts
    #[arg(long, group = "form")]
    sarif: bool,
}

impl ReportFlags {
    pub(crate) fn form(&self) -> ReportForm {
        match self {
            ReportFlags { json: true, .. } => ReportForm::Json,
            ReportFlags { junit: true, .. } => ReportForm::Junit,
            ReportFlags { sarif: true, .. } => ReportForm::Sarif,
            _ => ReportForm::Text,
        }
    }
}

/// What a report is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReportForm {
    Text,
    Json,
    Junit,
    Sarif,
}

/// A time that a stream of known timing may take.
fn bounded_time(text: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    let bounds = Duration::from_secs(5)..=Duration::from_secs(19 * 60);
    if bounds.contains(&time) { Ok(time) } else { Err("it is from 5s to 19m".into()) }
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Severity {
    /// Data does not arrive, is lost, reaches others, or costs money
    #[value(name = "S1")]
    S1,
    /// It arrives late, or not reliably
    #[value(name = "S2")]
    S2,
    /// It works, and may not elsewhere or for long
    #[value(name = "S3")]
    S3,
}

impl Severity {
    /// `S1`, `S2` or `S3`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Severity::S1 => "S1",
            Severity::S2 => "S2",
            Severity::S3 => "S3",
        }
    }
}
