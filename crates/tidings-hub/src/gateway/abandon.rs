//! The policy for a stream without readers.

use std::{fmt, str::FromStr, time::Duration};

use tokio::time::{Instant, sleep};

use super::stream::StreamId;
use crate::delivery::Engine;

/// How often the gateway looks whether a stream has readers. Readers come and go without telling the gateway: most are in the
/// delivery loops, as for any other topic.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The policy for a stream whose last reader has left while the upstream still sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Abandon {
    /// Go on: the answer is there when a reader comes back.
    #[default]
    Continue,
    /// Stop the upstream if no reader comes back within this time. Zero stops it at once.
    CancelAfter(Duration),
}

/// A text that is not an [`Abandon`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a policy; use continue, cancel, or a grace such as grace:30s")]
pub struct InvalidAbandon {
    text: String,
}

impl FromStr for Abandon {
    type Err = InvalidAbandon;

    fn from_str(text: &str) -> Result<Abandon, InvalidAbandon> {
        let grace = |grace: &str| humantime::parse_duration(grace).ok().map(Abandon::CancelAfter);
        match text {
            "continue" => Some(Abandon::Continue),
            "cancel" => Some(Abandon::CancelAfter(Duration::ZERO)),
            _ => text.strip_prefix("grace:").and_then(grace),
        }
        .ok_or_else(|| InvalidAbandon { text: text.into() })
    }
}

impl fmt::Display for Abandon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Abandon::Continue => f.write_str("continue"),
            Abandon::CancelAfter(grace) if grace.is_zero() => f.write_str("cancel"),
            Abandon::CancelAfter(grace) => write!(f, "grace:{}", humantime::format_duration(*grace)),
        }
    }
}

impl Abandon {
    /// Waits until a stream has been without readers for too long; for ever if it may go on without them. A client that waits for
    /// the head of its answer counts as a reader.
    pub(super) async fn of(self, engine: &Engine, stream: &StreamId) {
        let Abandon::CancelAfter(grace) = self else { return std::future::pending().await };
        let topic = stream.topic();
        let mut last_read = Instant::now();
        loop {
            sleep(LOOK_EVERY).await;
            if engine.routing.is_followed(&topic) {
                last_read = Instant::now();
            } else if last_read.elapsed() >= grace {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_read_and_written() {
        for text in ["continue", "cancel", "grace:30s", "grace:2m"] {
            assert_eq!(text.parse::<Abandon>().unwrap().to_string(), text);
        }
        for text in ["", "stop", "grace", "grace:", "grace:x", "cancel:1s"] {
            assert!(text.parse::<Abandon>().is_err(), "{text}");
        }
    }
}
