//! How a log is.

use std::time::Duration;

/// What the readers of a log do at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reads {
    /// How many reads run.
    pub running: usize,
    /// How many wait until a reader is free.
    pub waiting: usize,
}

/// What has gone wrong in a log without stopping it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Wear {
    /// How many records are over the limits and can't be evicted, because they are damaged.
    pub unevictable: u64,
    /// How far the machine's clock jumped, if it did and ages don't follow it; see [`Clock`](super::Clock).
    pub clock_jump: Duration,
}
