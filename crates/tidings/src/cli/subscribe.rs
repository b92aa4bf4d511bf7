//! Flags of `tidings subscribe`.

use std::time::Duration;

use clap::Args;

use super::{
    Hub, RequestFlags, TokenFlags,
    request::REQUEST,
    units::{Bytes, Time},
};

/// Follow topics of a hub, or any event stream
///
/// The data of each event goes to standard output, and news of the connection to standard error. The command reconnects and
/// resumes by itself. It ends when all its topics are closed, or when the server ends the stream for good (204). With --once, or
/// with a request that must not be repeated (a POST without an Idempotency-Key), it ends with the response.
///
/// The hub gets the token of --token-file, or the one in the variable TIDINGS_TOKEN. So does a URL of the hub; any other URL gets none.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tidings subscribe news
  tidings subscribe 'builds/*' alerts --json
  tidings subscribe news --from start
  tidings subscribe news --token-file reader.token
  tidings subscribe https://example.com/events -H 'Authorization: Bearer …'
  tidings subscribe -X POST -d @prompt.json https://api.example.com/v1/chat/completions
  tidings subscribe builds --exec 'notify-send \"$(cat)\"'")]
pub(crate) struct Subscribe {
    /// Topics, or one URL of an event stream. 'builds/*' is every topic below builds/, and '*' is every topic
    #[arg(required = true, value_name = "TOPIC|URL")]
    pub(crate) topics: Vec<String>,

    /// With topics: where to begin: start, end, or the ID of the last event that you have
    #[arg(long, value_name = "PLACE", default_value = "end")]
    pub(crate) from: String,

    /// The ID of the last event that you have; resumes any stream
    #[arg(long, value_name = "ID", conflicts_with = "from")]
    pub(crate) last_event_id: Option<String>,

    /// Print one JSON object a line. Its kind is open, event, comment, error or closed
    #[arg(long, help_heading = OUTPUT)]
    pub(crate) json: bool,

    /// Print comments too, such as heartbeats
    #[arg(long, help_heading = OUTPUT)]
    pub(crate) comments: bool,

    /// Print control characters to a terminal unchanged, and characters that change the direction of writing. Otherwise a
    /// terminal gets \u001b in their place. Line feed and tab, and output that is not a terminal, are never changed
    #[arg(long, help_heading = OUTPUT)]
    pub(crate) raw: bool,

    /// Run a shell command for each event, one after the other. The data is its standard input. Its environment has
    /// TIDINGS_TYPE, TIDINGS_ID and TIDINGS_TOPIC, but not a value with a NUL or of more than 64 KiB
    #[arg(long, value_name = "CMD", help_heading = OUTPUT)]
    pub(crate) exec: Option<String>,

    #[command(flatten)]
    pub(crate) request: RequestFlags,

    #[command(flatten)]
    pub(crate) token: TokenFlags,

    /// Reach the server through this proxy, such as http://user:password@host:port; '' for no proxy [default: the variables
    /// HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY decide]
    #[arg(short = 'x', long, value_name = "URL", hide_env_values = true, help_heading = REQUEST)]
    pub(crate) proxy: Option<String>,

    /// Speak HTTP/1.1 only
    #[arg(long = "http1.1", conflicts_with = "http2", help_heading = REQUEST)]
    pub(crate) http1: bool,

    /// Speak HTTP/2 only, also to an http:// URL
    #[arg(long, help_heading = REQUEST)]
    pub(crate) http2: bool,

    /// Read one response, and do not reconnect
    #[arg(long, help_heading = RECONNECTING)]
    pub(crate) once: bool,

    /// Be as strict as a browser: every status but 200 is final. Otherwise the command tries again after 408, 429 and 5xx
    #[arg(long, help_heading = RECONNECTING)]
    pub(crate) strict: bool,

    #[arg(long, value_name = "DURATION", help_heading = RECONNECTING, help = format!(
        "Reconnect when nothing has come for this long, not even a comment [default: {} for topics, never for a URL]",
        Time(HUB_IDLE_TIMEOUT),
    ))]
    pub(crate) idle_timeout: Option<Time>,

    /// How long to wait before reconnecting, until the server says another time
    #[arg(long, value_name = "DURATION", default_value_t = Time(Duration::from_secs(3)), help_heading = RECONNECTING)]
    pub(crate) initial_retry: Time,

    /// The most data of one event. A larger event ends the command
    #[arg(long, value_name = "BYTES", default_value_t = Bytes(16 << 20))]
    pub(crate) max_event_bytes: Bytes,

    #[command(flatten)]
    pub(crate) hub: Hub,
}

/// How long a hub may be silent. It sends a heartbeat every 15 s by default.
pub(crate) const HUB_IDLE_TIMEOUT: Duration = Duration::from_secs(60);

const OUTPUT: &str = "Output";
const RECONNECTING: &str = "Reconnecting";
