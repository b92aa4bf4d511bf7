//! Flags of the gateway for LLM streams, a part of `tidings serve`.

use std::time::Duration;

use clap::Args;
use tidings_hub::{
    gateway::{Abandon, Heartbeat},
    log::parse_bytes,
};

/// All but the first need --upstream.
#[derive(Debug, Args)]
#[command(next_help_heading = "Gateway for LLM streams")]
pub(crate) struct Gateway {
    /// Serve /v1/chat/completions, /v1/responses and /v1/messages from this LLM provider, as https://api.openai.com: a
    /// streamed answer is kept, and resumes
    #[arg(long, value_name = "URL")]
    pub(crate) upstream: Option<String>,

    /// The environment variable that has the provider's key. Without it, the clients' own keys are passed on
    #[arg(long, value_name = "NAME", requires = "upstream")]
    pub(crate) upstream_key_env: Option<String>,

    /// The environment variable that has the secret by which tokens of streams are signed; at least 16 characters
    /// [default: a file beside the history]
    #[arg(long, value_name = "NAME", requires = "upstream")]
    pub(crate) stream_secret_env: Option<String>,

    /// How long a token opens its stream
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = humantime::parse_duration)]
    pub(crate) stream_token_lifetime: Duration,

    /// What becomes of an answer that nobody reads any more: continue, cancel, or cancel after a grace, as grace:30s
    #[arg(long, value_name = "POLICY", default_value_t)]
    pub(crate) abandon: Abandon,

    /// What an SDK gets while the model is silent: comment, event (ping), dialect (what its interface has), none
    #[arg(long, value_name = "FORM", default_value_t)]
    pub(crate) stream_heartbeat: Heartbeat,

    /// How long a connection to the provider may take
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = humantime::parse_duration)]
    pub(crate) connect_timeout: Duration,

    /// How long the provider may take to send its first event
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = humantime::parse_duration)]
    pub(crate) first_event_timeout: Duration,

    /// How long the provider may be silent after that
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = humantime::parse_duration)]
    pub(crate) between_events_timeout: Duration,

    /// How long an answer may take in all
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = humantime::parse_duration)]
    pub(crate) total_timeout: Duration,

    /// After how long a client gets 200 and heartbeats though the provider has said nothing; before, it gets the provider's
    /// own status if that refuses
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = humantime::parse_duration)]
    pub(crate) first_byte_deadline: Duration,

    /// How often the provider is asked again if it fails before its first event
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub(crate) upstream_retries: u32,

    /// The largest request
    #[arg(long, value_name = "BYTES", default_value = "32MiB", value_parser = parse_bytes)]
    pub(crate) max_request: u64,

    /// The most requests that are with the provider at once, with and without a stream
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub(crate) max_streams: usize,
}
