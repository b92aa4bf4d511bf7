//! The HTTP interface over HTTP/1.1 within TLS: the tests of `main.rs` that are not about sockets.

#[path = "../support/mod.rs"]
mod support;

mod attachments;
mod close;
mod cross_site;
mod head;
mod history;
mod hostile_requests;
mod idempotency;
mod publish;
mod resume;
mod slow_reader;
mod streamed_publish;
mod subscribe;
