//! The gateway: LLM answers as topics of the log, so that a cut stream resumes instead of being paid for twice.
//!
//! [`Hub::with_gateway`](crate::Hub::with_gateway) makes a hub with a gateway. To the hub, the gateway is an extension:
//! `extension` registers its paths, its topics and its wire form.
//!
//! An SDK posts to `/v1/chat/completions`, `/v1/responses` or `/v1/messages` as it would to its provider. A streaming
//! request becomes a topic: `relay` publishes each event of the upstream there as it arrives, and the response is a
//! subscription to it (`answer`). A client with a token of the stream reads it at `/streams/<id>` (`watch`), from any position,
//! any number of times, also when it is complete. To the hub it is a topic as any other.

mod abandon;
mod admission;
mod announcement;
mod answer;
mod coalesce;
mod ending;
mod extension;
mod failure;
mod format;
mod heartbeat;
mod live;
mod metrics;
mod position;
mod proxy;
mod relay;
mod request;
mod restart;
mod route;
mod settings;
mod start;
mod stream;
mod target;
mod token;
mod upstream;
mod watch;
mod wire;

pub use abandon::Abandon;
pub use heartbeat::Heartbeat;
pub use settings::{GatewaySettings, InvalidUpstream, Secret, Timeouts};
