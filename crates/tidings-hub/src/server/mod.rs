//! Connections: sockets, TLS, HTTP/1.1 and HTTP/2, up to a request and from its response.

pub(crate) mod connection;
pub(crate) mod encryption;
pub(crate) mod http1;
pub(crate) mod http2;
pub(crate) mod last_chance;
mod metrics;
pub(crate) mod serve;
pub(crate) mod socket;
#[cfg(feature = "tls")]
pub(crate) mod tls;
pub(crate) mod write_buffer;
