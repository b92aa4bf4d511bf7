//! The bounds of a log's records.

use super::{Epoch, Position};

/// The bounds of a log now, or a moment ago. [`Log::bounds`](super::Log::bounds) tells which conclusions are valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The log's life.
    pub epoch: Epoch,
    /// The first sequence that is kept, or the next one to be given if none is. Everything before it is gone.
    pub oldest: u64,
    /// The last sequence that was evicted, at least; 0 before the first. More may be evicted by now.
    pub evicted: u64,
    /// The last record that readers may see; sequence 0 before the first. There may be more by now.
    pub newest: Position,
}
