//! The HTTP interface, judged from outside by clients that write and read bytes.

#[path = "../support/mod.rs"]
mod support;

mod attachments;
mod close;
mod cross_site;
mod delivery;
mod followed;
mod head;
mod history;
mod hostile_requests;
mod http1;
mod http2;
mod idempotency;
mod probe;
mod publish;
mod resume;
mod slow_reader;
mod streamed_publish;
mod subscribe;
mod subscribers;
mod tls;
