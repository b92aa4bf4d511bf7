//! The answer to a request that gets no grant.

use std::time::Duration;

/// Why a request gets no grant. The detail is told to the client, in a problem document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Denial {
    /// 401: the request has no credential, or one that does not hold.
    #[error("{detail}")]
    Unauthenticated {
        /// The reason, and the next step.
        detail: String,
    },
    /// 403: the request's credential holds, and allows nothing here.
    #[error("{detail}")]
    Forbidden {
        /// The reason, and the next step.
        detail: String,
    },
    /// 429: this client has asked for too much.
    #[error("{detail}")]
    TooMany {
        /// The limit, and what to do.
        detail: String,
        /// When to try again; told as `Retry-After` in whole seconds, at least one.
        retry_after: Duration,
    },
    /// 503: nobody can say at the moment. A client must not throw its credential away.
    #[error("{detail}")]
    Unavailable {
        /// The missing part.
        detail: String,
    },
}

impl Denial {
    /// 401, with `WWW-Authenticate: Bearer`.
    pub fn unauthenticated(detail: impl Into<String>) -> Denial {
        Denial::Unauthenticated { detail: detail.into() }
    }

    /// 403.
    pub fn forbidden(detail: impl Into<String>) -> Denial {
        Denial::Forbidden { detail: detail.into() }
    }

    /// 429, with `Retry-After`.
    pub fn too_many(detail: impl Into<String>, retry_after: Duration) -> Denial {
        Denial::TooMany { detail: detail.into(), retry_after }
    }

    /// 503, with `Retry-After`.
    pub fn unavailable(detail: impl Into<String>) -> Denial {
        Denial::Unavailable { detail: detail.into() }
    }
}
