//! How a stream ends.

/// Why a stream ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The upstream said that the answer is complete.
    Complete,
    /// A client stopped it.
    Stopped,
    /// It had no readers.
    Abandoned,
    /// The upstream's connection ended before its answer did.
    Truncated,
    /// The upstream failed, or said so.
    UpstreamError,
    /// The gateway stopped or was killed while the upstream still sent.
    GatewayRestart,
    /// A time limit ran out.
    Expired,
}

impl Ending {
    pub(super) const ALL: [Ending; 7] = [
        Ending::Complete,
        Ending::Stopped,
        Ending::Abandoned,
        Ending::Truncated,
        Ending::UpstreamError,
        Ending::GatewayRestart,
        Ending::Expired,
    ];

    /// Whether the upstream has ended the exchange. After another ending it may still be at work.
    pub(super) fn is_upstreams(self) -> bool {
        matches!(self, Ending::Complete | Ending::Truncated | Ending::UpstreamError)
    }

    /// The data of the stream's `close`. Readers need not know which client stopped it.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Ending::Abandoned => Ending::Stopped.as_str(),
            ending => ending.as_str(),
        }
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Ending::Complete => "complete",
            Ending::Stopped => "stopped",
            Ending::Abandoned => "abandoned",
            Ending::Truncated => "truncated",
            Ending::UpstreamError => "upstream_error",
            Ending::GatewayRestart => "gateway_restart",
            Ending::Expired => "expired",
        }
    }
}
