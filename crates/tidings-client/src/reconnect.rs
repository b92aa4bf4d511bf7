//! When a source connects again, and why.

use std::time::Duration;

use crate::error::TransportError;

/// What browsers take, give or take two seconds.
const RECONNECTION_TIME: Duration = Duration::from_secs(3);

/// What became of a connection, that the source has to connect again.
#[derive(Debug)]
#[non_exhaustive]
pub enum Cause {
    /// The server ended the response. By the standard that is no end of the stream.
    Ended,
    /// The connection could not be made, or broke.
    Network(TransportError),
}

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ended => f.write_str("the server ended the response"),
            Self::Network(error) => error.fmt(f),
        }
    }
}

/// How long to wait before each attempt.
#[derive(Debug)]
pub(crate) struct Pace {
    /// The reconnection time of the standard.
    reconnection_time: Duration,
}

impl Pace {
    pub(crate) fn new() -> Self {
        Self { reconnection_time: RECONNECTION_TIME }
    }

    pub(crate) fn set_reconnection_time(&mut self, time: Duration) {
        self.reconnection_time = time;
    }

    pub(crate) fn wait(&self) -> Duration {
        self.reconnection_time
    }
}
