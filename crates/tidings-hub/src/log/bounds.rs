//! What a log holds.

use super::{Epoch, Position};

/// What a log holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The log's life.
    pub epoch: Epoch,
    /// The first sequence that is kept, or the next one to be given if none is.
    pub oldest: u64,
    /// The last sequence that was ever evicted, at least: of what comes after it, nothing is missing. 0 before the first.
    pub evicted: u64,
    /// The last record that is visible; sequence 0 before the first.
    pub newest: Position,
}
