//! The HTTP interface over HTTP/2 with prior knowledge: the tests of `main.rs` that are not about the bytes of HTTP/1.1.

#[path = "../support/mod.rs"]
mod support;

mod attachments;
mod close;
mod cross_site;
mod head;
mod history;
mod idempotency;
mod publish;
mod resume;
mod slow_reader;
mod streamed_publish;
mod subscribe;
