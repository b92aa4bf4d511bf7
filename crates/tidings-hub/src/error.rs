//! Why an operation of the hub failed.

use crate::log::{LogError, Refused};

/// Why nothing was published.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The update cannot be appended, now or later: change it.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The log failed. Publishing again later may work; with an idempotency key it cannot publish twice.
    #[error(transparent)]
    Log(#[from] LogError),
}
