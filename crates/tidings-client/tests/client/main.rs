//! What this crate promises, rule by rule, against a server that behaves as badly as a test wants it to.
#![expect(clippy::unwrap_used, reason = "what fails in a test ends the test")]

mod cancelling;
mod processing_model;
mod redirects;
mod requests;
mod server;
mod trace;
mod transport;
