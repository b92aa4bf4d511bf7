//! The promises of this crate, rule by rule, against a server that misbehaves as each test requires.
#![expect(clippy::unwrap_used, reason = "what fails in a test ends the test")]

mod cancelling;
mod connecting;
mod credentials;
mod encoding;
mod endurance;
mod event_stream;
#[cfg(feature = "gzip")]
mod gzip;
#[cfg(all(feature = "http2", feature = "tls"))]
mod http2;
#[cfg(all(feature = "http2", feature = "tls"))]
mod hyper_server;
mod limits;
mod processing_model;
mod proxies;
mod reconnecting;
mod redirects;
mod renewing;
mod requests;
#[cfg(all(feature = "http2", feature = "tls"))]
mod reuse;
#[cfg(feature = "tls")]
mod tls;
mod trace;
mod transport;

use scripted_server as server;
