//! Why a subscriber may have missed something.

/// The reason that a `gap` event gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum GapReason {
    /// The position is known, and records after it that the subscription asks for were evicted.
    Evicted,
    /// No update of what is asked for has this ID, as far as is known, or several have it.
    UnknownId,
    /// The ID was given in another life of the log.
    UnknownEpoch,
}

impl GapReason {
    pub(crate) const ALL: [GapReason; 3] =
        [GapReason::Evicted, GapReason::UnknownId, GapReason::UnknownEpoch];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            GapReason::Evicted => "evicted",
            GapReason::UnknownId => "unknown-id",
            GapReason::UnknownEpoch => "unknown-epoch",
        }
    }
}
