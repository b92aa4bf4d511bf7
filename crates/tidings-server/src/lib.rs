//! Answers an HTTP request with a stream of events, and keeps it open.

mod headers;
mod last_event_id;

pub use headers::{Visibility, stream_headers};
pub use last_event_id::LastEventId;
