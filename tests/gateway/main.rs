//! The gateway for LLM streams, with a misbehaving model server, and clients that come, go and come back.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(unreachable_pub, reason = "the modules of a test share what is public in them")]

#[path = "../support/mod.rs"]
mod support;

mod abandoned;
mod answering;
mod compacted;
mod cross_site;
mod crowd;
mod cut_clients;
mod event_ids;
mod failures;
mod heartbeats;
mod idempotency;
mod model;
mod restarts;
mod reuse;
mod tokens;
mod watchers;
