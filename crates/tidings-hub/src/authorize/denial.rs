//! The answer to a request that gets no grant.

use std::{fmt, time::Duration};

use super::Quota;

/// Why a request gets no grant. The detail is told to the client, in a problem document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    pub(crate) kind: DenialKind,
    pub(crate) detail: String,
    /// A word for programs, and the number of the request in the hub's log.
    pub(crate) rule: Option<&'static str>,
    pub(crate) request: Option<String>,
    /// The limit that is used up.
    pub(crate) quota: Option<Quota>,
}

/// The kind of a denial: each asks something else of the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DenialKind {
    Unauthenticated,
    Forbidden,
    TooMany(Duration),
    Unavailable,
}

impl Denial {
    fn new(kind: DenialKind, detail: impl Into<String>) -> Denial {
        Denial { kind, detail: detail.into(), rule: None, request: None, quota: None }
    }

    /// 401, with `WWW-Authenticate: Bearer`: the request has no credential, or one that does not hold.
    pub fn unauthenticated(detail: impl Into<String>) -> Denial {
        Denial::new(DenialKind::Unauthenticated, detail)
    }

    /// 403: the request's credential holds, and allows nothing here.
    pub fn forbidden(detail: impl Into<String>) -> Denial {
        Denial::new(DenialKind::Forbidden, detail)
    }

    /// 429: this client has asked for too much. `Retry-After` says when to come back, in whole seconds, at least one.
    pub fn too_many(detail: impl Into<String>, retry_after: Duration) -> Denial {
        Denial::new(DenialKind::TooMany(retry_after), detail)
    }

    /// 503, with `Retry-After`: nobody can say at the moment. A client must not throw its credential away. An `EventSource` gets
    /// a stream that ends, because it would not come back from a 503.
    pub fn unavailable(detail: impl Into<String>) -> Denial {
        Denial::new(DenialKind::Unavailable, detail)
    }

    /// Also names the rule that refuses, for programs: the member `rule` of the problem document, such as `token-expired`.
    #[must_use]
    pub fn with_rule(self, rule: &'static str) -> Denial {
        Denial { rule: Some(rule), ..self }
    }

    /// Also says under which number the hub's own log has the reason.
    pub(crate) fn with_request(self, request: String) -> Denial {
        Denial { request: Some(request), ..self }
    }
}

/// The detail.
impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for Denial {}
