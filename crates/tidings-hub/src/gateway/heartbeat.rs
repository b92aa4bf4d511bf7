//! The heartbeats that an SDK gets while the model is silent.

use std::{fmt, str::FromStr, time::Duration};

use tidings_server::KeepAlive;

use super::wire::Interface;

/// The ping of Anthropic's interface.
const PING: &[u8] = b"event: ping\ndata: {\"type\": \"ping\"}\n\n";

/// The form of a heartbeat in the answer to an SDK.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Heartbeat {
    /// An empty comment, which every parser that follows the standard ignores.
    Comment,
    /// An event of type `ping`, for clients that watch events and not bytes. OpenAI's SDKs yield it as a chunk.
    Event,
    /// That of the interface: `ping` for Anthropic's, and a comment for OpenAI's, which have no heartbeat.
    #[default]
    Dialect,
    /// Nothing, and no comment at the beginning either: for clients that fail on them.
    None,
}

/// A text that is not a [`Heartbeat`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a heartbeat; use comment, event, dialect or none")]
pub struct InvalidHeartbeat {
    text: String,
}

impl FromStr for Heartbeat {
    type Err = InvalidHeartbeat;

    fn from_str(text: &str) -> Result<Heartbeat, InvalidHeartbeat> {
        match text {
            "comment" => Ok(Heartbeat::Comment),
            "event" => Ok(Heartbeat::Event),
            "dialect" => Ok(Heartbeat::Dialect),
            "none" => Ok(Heartbeat::None),
            _ => Err(InvalidHeartbeat { text: text.into() }),
        }
    }
}

impl fmt::Display for Heartbeat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Heartbeat::Comment => "comment",
            Heartbeat::Event => "event",
            Heartbeat::Dialect => "dialect",
            Heartbeat::None => "none",
        })
    }
}

impl Heartbeat {
    /// Whether a comment may begin the stream.
    pub(super) fn has_comments(self) -> bool {
        self != Heartbeat::None
    }

    pub(super) fn keep_alive(self, interface: Interface, silence: Duration) -> KeepAlive {
        match (self, interface) {
            (Heartbeat::None, _) => KeepAlive::none(),
            (Heartbeat::Event, _) | (Heartbeat::Dialect, Interface::Messages) => KeepAlive::encoded(PING),
            (Heartbeat::Comment | Heartbeat::Dialect, _) => KeepAlive::comment(),
        }
        .after(silence)
    }
}
