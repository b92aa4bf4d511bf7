//! The settings of a hub.

use std::{collections::HashMap, time::Duration};

use bytes::Bytes;

use crate::{Access, Origin, UpdateRetry};

/// The settings of a hub; [`Settings::default`] is what a hub on this machine alone needs.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Settings {
    /// The rule for publishing and subscribing. Default: anyone on this machine.
    pub access: Access,
    /// Names that a `Host` header may have beside loopback ones; a port does not count. Any other is refused, 421.
    ///
    /// Empty, which is the default, means only loopback names under [`Access::Loopback`], and any name under other rules.
    /// `/healthz` and `/readyz` answer to any.
    pub allowed_hosts: Vec<String>,
    /// Origins of other sites whose pages may publish and subscribe, with credentials.
    pub allowed_origins: Vec<Origin>,
    /// The most data of one update, in bytes. Default: 1 MiB.
    pub max_data_bytes: usize,
    /// How long a stream is silent before a heartbeat. Default: 15 s, under every proxy's usual limit.
    pub heartbeat: Duration,
    /// How long subscribers wait before they reconnect. Default: 2 s.
    pub retry: Duration,
    /// The longest reconnection time that a publisher over HTTP may set, at most a day. Default: 1 hour.
    pub max_retry: Duration,
    /// How many bytes of the newest records wait in memory as ready frames. Default: 16 MiB.
    pub window_bytes: u64,
    /// How long a streamed publish may pause between two pieces. Default: 5 minutes.
    pub read_timeout: Duration,
    /// How long one update may take to arrive: a body that is one, a line of NDJSON, or an event of a published event stream.
    /// A request to the gateway is such a body too. Default: 1 minute.
    pub update_timeout: Duration,
    /// How long an attachment may take to arrive. Default: 15 minutes.
    pub upload_timeout: Duration,
    /// The most memory, in bytes, of all answers together that are under way: pages of history over 64 KiB, what is ready for
    /// subscribers whose streams have just begun, and what waits for clients beyond 64 KiB of each connection over HTTP/2 or TLS.
    /// Beyond that pages are refused with 503, and streams wait. Default: 256 MiB.
    pub answer_bytes: u64,
    /// The most memory, in bytes, of all bodies together that are not complete yet. A body of up to 64 KiB takes none of it;
    /// beyond that a request waits for a few seconds for room, and is then refused with 503. Default: 64 MiB.
    pub body_bytes: u64,
    /// How long a connection may take less than 64 KiB of what waits for it, or all of it if that is less, before it is closed.
    /// Default: 2 minutes.
    pub write_timeout: Duration,
    /// How many connections [`Hub::serve`](crate::Hub::serve) has open at a time, subscribers included; others wait to be accepted
    /// until one is closed. Each is a file descriptor, so it is to be below the process's limit by as many as the log needs.
    /// Default: no bound.
    pub max_connections: Option<usize>,
    /// Static files to serve beside the hub, by path (`/`, `/style.css`).
    pub pages: HashMap<&'static str, Asset>,
}

/// A static file.
#[derive(Debug, Clone)]
pub struct Asset {
    /// Its `Content-Type`.
    pub content_type: &'static str,
    /// Its bytes.
    pub body: Bytes,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            access: Access::default(),
            allowed_hosts: Vec::new(),
            allowed_origins: Vec::new(),
            max_data_bytes: 1 << 20,
            heartbeat: Duration::from_secs(15),
            retry: Duration::from_secs(2),
            max_retry: UpdateRetry::DEFAULT_MAX,
            window_bytes: 16 << 20,
            read_timeout: Duration::from_secs(300),
            update_timeout: Duration::from_secs(60),
            upload_timeout: Duration::from_secs(900),
            answer_bytes: 256 << 20,
            body_bytes: 64 << 20,
            write_timeout: Duration::from_secs(120),
            max_connections: None,
            pages: HashMap::new(),
        }
    }
}
