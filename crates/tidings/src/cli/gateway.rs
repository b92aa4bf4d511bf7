//! Flags of the gateway for LLM streams, a part of `tidings serve`.

use clap::Args;
use tidings_hub::gateway::{Abandon, Heartbeat};

use super::{
    serve::bytes,
    units::{Bytes, Time, variable_name},
};
use crate::config::defaults;

/// All but the first need --upstream.
#[derive(Debug, Args)]
#[command(next_help_heading = "Gateway for LLM streams")]
pub(crate) struct Gateway {
    /// Serve /v1/chat/completions, /v1/responses and /v1/messages from this LLM provider, such as https://api.openai.com. A
    /// streamed answer is kept, and a client can resume it
    #[arg(long, value_name = "URL")]
    pub(crate) upstream: Option<String>,

    /// The environment variable that has the provider's key. Without this flag the clients' own keys are passed on
    #[arg(long, value_name = "NAME", value_parser = variable_name, hide_env_values = true, requires = "upstream")]
    pub(crate) upstream_key_env: Option<String>,

    /// The environment variable that has the secret for the tokens of streams, at least 16 characters [default: a file
    /// beside the history]
    #[arg(long, value_name = "NAME", value_parser = variable_name, hide_env_values = true, requires = "upstream")]
    pub(crate) stream_secret_env: Option<String>,

    /// How long a token opens its stream
    #[arg(long, value_name = "DURATION", default_value_t = Time(defaults().gateway.token_lifetime))]
    pub(crate) stream_token_lifetime: Time,

    /// What to do when the last reader of an answer has left: continue, cancel, or cancel after a time, such as grace:30s
    #[arg(long, value_name = "POLICY", default_value_t = defaults().gateway.abandon)]
    pub(crate) abandon: Abandon,

    /// What an SDK gets while the model is silent: comment, event (ping), dialect (what its interface has), none
    #[arg(long, value_name = "FORM", default_value_t = defaults().gateway.heartbeat)]
    pub(crate) stream_heartbeat: Heartbeat,

    /// How long the gateway may take to connect to the provider
    #[arg(long, value_name = "DURATION", default_value_t = Time(defaults().gateway.timeouts.connect))]
    pub(crate) connect_timeout: Time,

    /// How long the provider may take to send its first event
    #[arg(long, value_name = "DURATION", default_value_t = Time(defaults().gateway.timeouts.first_event))]
    pub(crate) first_event_timeout: Time,

    /// How long the provider may be silent after its first event
    #[arg(long, value_name = "DURATION", default_value_t = Time(defaults().gateway.timeouts.between_events))]
    pub(crate) between_events_timeout: Time,

    /// How long a whole answer may take
    #[arg(long, value_name = "DURATION", default_value_t = Time(defaults().gateway.timeouts.total))]
    pub(crate) total_timeout: Time,

    /// Answer with 200 and heartbeats if the provider was silent for this long. Before that, a client gets the status with which
    /// the provider refuses
    #[arg(long, value_name = "DURATION", default_value_t = Time(defaults().gateway.first_byte_deadline))]
    pub(crate) first_byte_deadline: Time,

    /// How often to ask the provider again if it fails before its first event
    #[arg(long, value_name = "N", default_value_t = defaults().gateway.retries)]
    pub(crate) upstream_retries: u32,

    /// The largest request
    #[arg(long, value_name = "BYTES", default_value_t = bytes(defaults().gateway.max_request_bytes))]
    pub(crate) max_request: Bytes,

    /// The most requests that may be with the provider at once, streamed or not. More are refused with 429
    #[arg(long, value_name = "N", default_value_t = defaults().gateway.max_streams)]
    pub(crate) max_streams: usize,
}
