//! Why a log does not do what it was asked for.

use std::sync::Arc;

/// The store failed.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The log is shut down or its store failed; nothing was appended.
    #[error("the log is not available: {reason}")]
    Unavailable {
        /// The message for the caller, in words that a client may read.
        reason: &'static str,
        /// The cause, for the operator. It names files and internals.
        source: Option<Arc<dyn std::error::Error + Send + Sync>>,
    },
    /// Too many reads wait for the log's readers. Try again in a moment.
    #[error("{waiting} reads of the history are waiting, which is the limit; try again in a moment")]
    Busy {
        /// How many wait.
        waiting: usize,
    },
    /// There is no room left where the log is kept; nothing was appended. It goes on by itself once there is room.
    #[error("the disk is full; free some space, or keep less (tidings serve --max-history)")]
    Full,
}

impl LogError {
    /// The log is not available for a reason that clients may read, because of what only the operator may.
    pub(crate) fn unavailable(
        reason: &'static str,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> LogError {
        LogError::Unavailable { reason, source: Some(Arc::from(source.into())) }
    }
}
