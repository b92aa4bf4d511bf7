//! How a log is.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use super::LogError;

/// Why updates cannot be kept or delivered at the moment, and since when.
#[derive(Debug, Clone)]
pub struct Fault {
    /// When it was noticed first.
    pub since: SystemTime,
    /// The fault.
    pub error: LogError,
}

impl Fault {
    /// A fault that is noticed now.
    pub fn now(error: LogError) -> Fault {
        Fault { since: SystemTime::now(), error }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for Fault {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.source()
    }
}

/// The current work of a log's readers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reads {
    /// How many reads run.
    pub running: usize,
    /// How many wait until a reader is free.
    pub waiting: usize,
}

/// The faults of a log that do not stop it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Wear {
    /// How many records are over the limits and cannot be evicted, because they are damaged.
    pub unevictable: u64,
    /// How far the machine's clock jumped, if it did and ages do not follow it; see [`Clock`](super::Clock).
    pub clock_jump: Duration,
}
