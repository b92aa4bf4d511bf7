//! A limit that is used up.

use std::time::Duration;

use super::Denial;

/// A limit that is used up. The answer is 429.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Exceeded {
    /// The word for it, for programs.
    pub(crate) rule: &'static str,
    pub(crate) detail: String,
    pub(crate) retry_after: Duration,
    pub(crate) quota: Option<Quota>,
}

/// A limit as the headers `RateLimit` and `RateLimit-Policy` name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Quota {
    pub(crate) name: &'static str,
    /// How much is allowed.
    pub(crate) amount: u64,
    /// Within how many seconds; 0 for a limit that knows no time.
    pub(crate) window: u64,
}

impl Exceeded {
    pub(crate) fn new(rule: &'static str, detail: impl Into<String>, retry_after: Duration) -> Exceeded {
        Exceeded { rule, detail: detail.into(), retry_after, quota: None }
    }

    #[must_use]
    pub(crate) fn with_quota(self, name: &'static str, amount: u64, window: u64) -> Exceeded {
        Exceeded { quota: Some(Quota { name, amount, window }), ..self }
    }
}

impl From<Exceeded> for Denial {
    fn from(Exceeded { rule, detail, retry_after, quota }: Exceeded) -> Denial {
        Denial { quota, ..Denial::too_many(detail, retry_after).with_rule(rule) }
    }
}
