//! Flags of `tidings doctor`.

use std::{net::SocketAddr, time::Duration};

use clap::{Args, Subcommand, ValueEnum};

use super::{RequestFlags, TokenFlags, request::REQUEST, units::variable_name};

/// Find out why an event stream does not arrive event by event, and which line to change
///
/// The doctor asks for the stream in several ways. This takes about ten seconds, and up to 15. It measures when each event arrives,
/// and says what is wrong, at which hop, how sure that is, and what to change. A Tidings hub sends a stream of known timing for
/// this. `tidings doctor origin` sends it in place of any other server, through the same proxy. With any other server the doctor measures the stream as it is.
/// Only GET requests are repeated.
///
/// Exit code: 0 if nothing is wrong, 1 if a finding is at or above --fail-on, 2 if nothing could be measured.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "\
Examples:
  tidings doctor https://example.com/events
  tidings doctor https://example.com/events --connect-to 10.0.0.7:8080   # without the proxies
  tidings doctor https://example.com/events -H 'Authorization: Bearer …' --idle
  tidings doctor origin --listen 127.0.0.1:8080                          # in place of the server
  tidings doctor llm https://api.example.com/v1/chat/completions --key-env API_KEY
  tidings doctor https://example.com/events --junit > doctor.xml         # for CI
  tidings doctor --explain buffered"
)]
pub(crate) struct Doctor {
    #[command(subcommand)]
    pub(crate) command: Option<DoctorCommand>,

    /// The URL of the stream
    #[arg(value_name = "URL", required_unless_present = "explain")]
    pub(crate) url: Option<String>,

    #[command(flatten)]
    pub(crate) request: RequestFlags,

    #[command(flatten)]
    pub(crate) token: TokenFlags,

    /// Connect to this address instead of the one in the URL, to leave out the proxies in between. Host header and certificate
    /// stay those of the URL
    #[arg(long, value_name = "HOST:PORT", help_heading = REQUEST)]
    pub(crate) connect_to: Option<String>,

    /// Speak HTTP/1.1 only
    #[arg(long = "http1.1", conflicts_with = "http2", help_heading = REQUEST)]
    pub(crate) http1: bool,

    /// Speak HTTP/2 only, also to an http:// URL
    #[arg(long, help_heading = REQUEST)]
    pub(crate) http2: bool,

    #[arg(long, value_name = "TIME", num_args = 0..=1, require_equals = true, default_missing_value = IDLE,
          value_parser = bounded_time, help_heading = MORE, help = format!(
        "Measure how long a silence may last: --idle tries {IDLE}, and --idle=TIME tries TIME, from 5s to 19m"))]
    pub(crate) idle: Option<Duration>,

    #[arg(long, value_name = "TIME", num_args = 0..=1, require_equals = true, default_missing_value = LONG,
          value_parser = bounded_time, help_heading = MORE, help = format!(
        "Measure how long a stream may last: --long tries {LONG}, and --long=TIME tries TIME, from 5s to 19m"))]
    pub(crate) long: Option<Duration>,

    #[command(flatten)]
    pub(crate) report: ReportFlags,

    /// Explain a rule or a fix by its name, and end; 'all' lists all names
    #[arg(long, value_name = "RULE")]
    pub(crate) explain: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DoctorCommand {
    Origin(DoctorOrigin),
    Llm(DoctorLlm),
}

/// Send a stream of known timing at every path, in place of the server to which a proxy forwards
///
/// Let the proxy forward to this address, and run `tidings doctor` against the proxy. Everything that the doctor then finds is caused
/// by the proxy.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  tidings doctor origin --listen 127.0.0.1:8080")]
pub(crate) struct DoctorOrigin {
    /// Address and port to listen on; port 0 takes a free port
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4401")]
    pub(crate) listen: SocketAddr,
}

/// Check how the answer of an LLM streams, with one small completion
///
/// This costs a few tokens, and a few more for an answer that the doctor cuts off.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  tidings doctor llm https://api.example.com/v1/chat/completions --key-env API_KEY"
)]
pub(crate) struct DoctorLlm {
    /// The URL of chat completions, responses or messages
    #[arg(value_name = "URL")]
    pub(crate) url: String,

    /// The environment variable that has the API key
    #[arg(long, value_name = "NAME", value_parser = variable_name, hide_env_values = true)]
    pub(crate) key_env: Option<String>,

    /// The model to ask
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub(crate) model: String,

    /// Connect to this address instead of the one in the URL
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) connect_to: Option<String>,

    #[command(flatten)]
    pub(crate) report: ReportFlags,
}

const MORE: &str = "Longer measurements";
const REPORT: &str = "Report";

/// The silence that `--idle` tries. Many limits are 30, 60 or 120 s.
const IDLE: &str = "125s";

/// The stream that `--long` tries. The limit of some platforms is 15 minutes.
const LONG: &str = "15m30s";

/// The form of the report, and what counts as a failure.
#[derive(Debug, Args)]
pub(crate) struct ReportFlags {
    /// Print one JSON object
    #[arg(long, group = "form", help_heading = REPORT)]
    json: bool,

    /// Print JUnit XML, which CI systems show as tests: a failed test for each finding, and a skipped test for each thing that
    /// was not measured
    #[arg(long, group = "form", help_heading = REPORT)]
    junit: bool,

    /// Print SARIF, which code hosts show as alerts
    #[arg(long, group = "form", help_heading = REPORT)]
    sarif: bool,

    /// The exit code is 1 if a finding has at least this severity
    #[arg(long, value_name = "SEVERITY", value_enum, ignore_case = true, default_value = "S2", help_heading = REPORT)]
    pub(crate) fail_on: Severity,
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

/// The form of a report.
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
    if bounds.contains(&time) { Ok(time) } else { Err("use a time from 5s to 19m".into()) }
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
