//! The bytes that a client reads from its socket, one by one.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod over_axum;
mod over_http2;
mod over_hyper;
mod raw_client;
