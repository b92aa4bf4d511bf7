//! Flags of `tidings subscribe`.

use std::time::Duration;

use clap::Args;
use tidings_hub::log::parse_bytes;

use super::{Hub, RequestFlags};

/// Follow topics of a hub, or any event stream.
///
/// Prints the data of each event to standard output, and what happens to the connection to standard error. Reconnects
/// and resumes by itself. Ends when all its topics are closed, when the server says that it is over (204), and with
/// --once, or a request that must not be repeated (a POST without an Idempotency-Key), when the response ends.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tidings subscribe news
  tidings subscribe 'builds/*' alerts --json
  tidings subscribe news --from start
  tidings subscribe https://example.com/events -H 'Authorization: Bearer …'
  tidings subscribe -X POST -d @prompt.json https://api.example.com/v1/chat/completions
  tidings subscribe builds --exec 'notify-send \"$(cat)\"'")]
pub(crate) struct Subscribe {
    /// Topics, of which 'builds/*' is all below builds/ and '*' is everything; or one URL of an event stream
    #[arg(required = true, value_name = "TOPIC|URL")]
    pub(crate) topics: Vec<String>,

    /// Where to begin with topics: start, end, or the ID of the event that was seen last
    #[arg(long, value_name = "PLACE", default_value = "end")]
    pub(crate) from: String,

    /// The ID of the event that was seen last, to resume any stream
    #[arg(long, value_name = "ID", conflicts_with = "from")]
    pub(crate) last_event_id: Option<String>,

    /// Print one JSON object a line: kind is open, event, comment, error or closed
    #[arg(long)]
    pub(crate) json: bool,

    /// Print comments too, such as heartbeats
    #[arg(long)]
    pub(crate) comments: bool,

    /// Print to a terminal as it is what could command it: control characters but line feed and tab, and what changes
    /// the direction of writing. They are shown as \u001b otherwise; where the output is no terminal, nothing is changed
    #[arg(long)]
    pub(crate) raw: bool,

    /// Run a shell command for each event, one after the other: the data is its standard input, and TIDINGS_TYPE,
    /// TIDINGS_ID and TIDINGS_TOPIC are in its environment, unless they hold a NUL or over 64 KiB
    #[arg(long, value_name = "CMD")]
    pub(crate) exec: Option<String>,

    #[command(flatten)]
    pub(crate) request: RequestFlags,

    /// Reach the server through this proxy, as http://user:password@host:port; '' for none. Without it HTTP_PROXY,
    /// HTTPS_PROXY, ALL_PROXY and NO_PROXY decide
    #[arg(short = 'x', long, value_name = "URL", hide_env_values = true)]
    pub(crate) proxy: Option<String>,

    /// Speak HTTP/1.1 and offer nothing else
    #[arg(long = "http1.1", conflicts_with = "http2")]
    pub(crate) http1: bool,

    /// Speak HTTP/2 and offer nothing else, to an http:// URL too
    #[arg(long)]
    pub(crate) http2: bool,

    /// Read one response and don't reconnect
    #[arg(long)]
    pub(crate) once: bool,

    /// As strict as a browser: any status but 200 is final, instead of trying again after 408, 429 and 5xx
    #[arg(long)]
    pub(crate) strict: bool,

    /// Reconnect when nothing came for this long, not even a comment; 60s for topics, never for other streams
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub(crate) idle_timeout: Option<Duration>,

    /// How long to wait before reconnecting, until the server says otherwise
    #[arg(long, value_name = "DURATION", default_value = "3s", value_parser = humantime::parse_duration)]
    pub(crate) initial_retry: Duration,

    /// The most data of one event
    #[arg(long, value_name = "BYTES", default_value = "16MiB", value_parser = parse_bytes)]
    pub(crate) max_event_bytes: u64,

    #[command(flatten)]
    pub(crate) hub: Hub,
}
