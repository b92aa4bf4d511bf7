//! A hub for Server-Sent Events: any backend publishes to it over HTTP, any browser follows with `EventSource`.
//!
//! Every subscriber gets every update of its topics exactly once and in order, across reconnects and slow reading, or is
//! told in the stream that something is missing. That is because a subscriber is not a queue that can overflow but a
//! [`Cursor`]: a position in one [log](mod@log) of all updates. Following live, catching up and being slow are the same to it.
//!
//! ```
//! use tidings_hub::{Hub, Topic, Update};
//! use tokio::net::TcpListener;
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let hub = Hub::default();
//! let listener = TcpListener::bind("127.0.0.1:0").await?;
//! println!("follow me: curl -N http://{}/topics/news", listener.local_addr()?);
//! let serving = tokio::spawn({
//!     let hub = hub.clone();
//!     async move { hub.serve(listener).await }
//! });
//!
//! hub.publish(Update::new(Topic::parse("news")?, "Hello, world")).await?;
//!
//! // Ends the streams, whose clients come back, and then the server.
//! hub.shutdown().await;
//! serving.await?;
//! # Ok(()) }
//! ```
//!
//! # In an application of your own
//!
//! [`Hub::service`] is a tower service with the hub's whole HTTP interface, to be mounted under any prefix, in axum with
//! `Router::nest_service("/hub", hub.service())`. The application publishes with [`Hub::publish`]. It may
//! decide for each request which topics that may publish to and read: see [`Authorizer`]. Otherwise the [`Access`] in the
//! [`Settings`] is one rule for everybody.
//!
//! With the feature `gateway`, `Hub::with_gateway` makes a hub that also stands before an LLM provider. It serves the interfaces
//! of the provider, and keeps each streamed answer as a topic, so that a cut answer resumes. See the module `gateway`.
//!
//! # What it promises
//!
//! - **Acknowledged means kept**: [`Hub::publish`] returns when the update is as durable as its log makes it. With
//!   [`DiskLog`](log::DiskLog) that is through crashes, and power cuts too unless its settings say otherwise; with
//!   [`MemoryLog`](log::MemoryLog) for as long as the process lives.
//! - **Bounded**: a subscriber costs a small constant, however slow it is; publishing never waits for one.
//! - **Nothing is silent**: a refusal is a problem document that names the value and the rule; a gap is an event of type
//!   `gap`; the end of a topic is an event of type `close`, and then `204`, after which no `EventSource` comes back.
//!
//! # What it is not
//!
//! It does not identify people: an application that does supplies an [`Authorizer`]. It is not a queue with competing
//! consumers: every subscriber gets everything. An event carries only text, because the format does. Binary or large
//! data is stored beside the log, and an event announces it.
// Parts of the other rooms serve the gateway alone. They are there without it too, so that the feature has one place.
#![cfg_attr(
    not(feature = "gateway"),
    allow(dead_code, reason = "the gateway uses what the hub alone does not")
)]

mod attachments;
mod authorize;
mod budget;
mod caught;
mod delivery;
mod dialect;
mod encoder;
mod error;
mod extension;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
#[cfg(feature = "gateway")]
pub mod gateway;
mod http;
mod hub;
pub mod log;
mod metrics;
mod model;
mod owner_only;
mod pace;
mod peer;
pub mod probe;
mod seats;
mod server;
mod settings;

pub use self::http::{HubBody, HubService};
pub use attachments::{
    AttachmentBytes, AttachmentFuture, AttachmentLimits, AttachmentUpload, AttachmentUsage, Attachments,
    ReceivedAttachment, UploadError,
};
pub use authorize::{
    Access, Audit, Authorizer, Authorizing, Control, Denial, Grant, InvalidCookieName, InvalidIssuer,
    InvalidList, InvalidNetwork, InvalidTokenKey, Issuer, MAX_TOKEN_LIFE, Network, NewApiKey, NewToken,
    Policy, Right, Subject, TokenCheck, TokenExplanation, TokenKey, TokenKeys, Tokens,
};
#[cfg(feature = "access-file")]
pub use authorize::{AccessFile, GoverningRule, InvalidAccessFile, Way};
pub use delivery::EventFormat;
pub use delivery::cursor::{Cursor, Subscribe};
pub use delivery::resume::{StartAt, Verdict};
pub use error::PublishError;
pub use hub::Hub;
pub use model::attachment_id::AttachmentId;
pub use model::matchers::Matchers;
pub use model::origin::{InvalidOrigin, Origin};
pub use model::topic::{
    InvalidTopic, MAX_FILTER_BYTES, MAX_FILTERS, MAX_TOPIC_BYTES, Prefix, Selector, Topic, TopicFilter,
};
pub use model::update::{
    InvalidName, InvalidRetry, MAX_NAME_BYTES, RESERVED_TYPES, Update, UpdateId, UpdateRetry, UpdateType,
};
pub use peer::Peer;
#[cfg(feature = "tls")]
pub use server::tls::{InvalidCertificate, Tls};
pub use settings::{Asset, Settings};
