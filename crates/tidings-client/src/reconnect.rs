//! When a source connects again, and why.

use std::{
    fmt,
    hash::{BuildHasher, Hasher, RandomState},
    time::Duration,
};

use tokio::time::Instant;

use crate::error::{Error, Refusal, TransportError};

/// What became of a connection, that the source has to connect again.
#[derive(Debug)]
#[non_exhaustive]
pub enum Cause {
    /// The server ended the response. By the standard that is no end of the stream.
    Ended,
    /// The connection could not be made, or broke.
    Network(TransportError),
    /// Nothing came for so long: see [`EventSource::with_idle_timeout`](crate::EventSource::with_idle_timeout).
    Idle(Duration),
    /// The server refused for the time being: see
    /// [`EventSource::with_status_retries`](crate::EventSource::with_status_retries).
    Status(Box<Refusal>),
}

impl Cause {
    /// The error that this is to a source that may not try again. The end of a response is none.
    pub(crate) fn into_error(self) -> Option<Error> {
        match self {
            Self::Ended => None,
            Self::Network(error) => Some(Error::Transport(error)),
            Self::Idle(timeout) => Some(Error::Idle(timeout)),
            Self::Status(refusal) => Some(Error::Status(refusal)),
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended => f.write_str("the server ended the response"),
            Self::Network(error) => error.fmt(f),
            Self::Idle(timeout) => write!(f, "nothing came for {timeout:?}"),
            Self::Status(refusal) => refusal.fmt(f),
        }
    }
}

/// Decides how long to wait before each attempt.
///
/// The standard wants at least the reconnection time, and allows more after an attempt that failed. More is: a random
/// part of a span that doubles with each failure in a row, so that the subscribers of a server that has just come back
/// do not all arrive in the same moment.
#[derive(Debug)]
pub(crate) struct Pace {
    pub(crate) reconnection_time: Duration,
    /// The longest span to wait on top of the reconnection time.
    pub(crate) max_backoff: Duration,
    /// A connection that lasted so long was no failure.
    pub(crate) healthy_after: Duration,
    /// How many connections in a row were failures.
    failures: u32,
    opened_at: Option<Instant>,
    brought_event: bool,
}

/// The span after the first failure, where the reconnection time is shorter. With `retry: 0` there would be no back-off.
const MIN_SPAN: Duration = Duration::from_secs(1);

impl Pace {
    pub(crate) fn new() -> Self {
        Self {
            // What browsers take, give or take two seconds.
            reconnection_time: Duration::from_secs(3),
            max_backoff: Duration::from_secs(60),
            healthy_after: Duration::from_secs(30),
            failures: 0,
            opened_at: None,
            brought_event: false,
        }
    }

    /// A connection is open.
    pub(crate) fn opened(&mut self) {
        self.opened_at = Some(Instant::now());
    }

    /// It has brought an event.
    pub(crate) fn event(&mut self) {
        self.brought_event = true;
    }

    /// The connection is gone: how long to wait before the next one.
    ///
    /// A response that ended is a failure only if it brought no event and was short; otherwise a server that accepts
    /// and ends in a circle would be asked in a circle.
    pub(crate) fn wait(&mut self, cause: &Cause) -> Duration {
        self.wait_with(cause, random())
    }

    fn wait_with(&mut self, cause: &Cause, random: f64) -> Duration {
        let long = self.opened_at.take().is_some_and(|opened| opened.elapsed() >= self.healthy_after);
        let healthy = std::mem::take(&mut self.brought_event) || long;
        if healthy {
            self.failures = 0;
        }
        if !healthy || !matches!(cause, Cause::Ended) {
            self.failures = self.failures.saturating_add(1);
        }
        let wait = self.reconnection_time.saturating_add(self.span().mul_f64(random));
        match cause {
            Cause::Status(refusal) => refusal.retry_after().map_or(wait, |asked| wait.max(asked)),
            _ => wait,
        }
    }

    /// The span that a part is taken of: zero without failures, then doubling up to the bound.
    fn span(&self) -> Duration {
        let Some(doublings) = self.failures.checked_sub(1) else { return Duration::ZERO };
        let first = self.reconnection_time.max(MIN_SPAN);
        let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
        first.saturating_mul(factor).min(self.max_backoff)
    }
}

/// A number from 0 to below 1. The keys of a hasher are random, which is all that spreading subscribers takes.
fn random() -> f64 {
    let bits = RandomState::new().build_hasher().finish() >> 11;
    bits as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(reconnection_time: u64) -> Pace {
        Pace { reconnection_time: Duration::from_millis(reconnection_time), ..Pace::new() }
    }

    fn broken() -> Cause {
        Cause::Network(TransportError::broken("cable"))
    }

    /// Milliseconds to wait after a failure, at the given place of the span.
    fn failure(pace: &mut Pace, random: f64) -> u128 {
        pace.wait_with(&broken(), random).as_millis()
    }

    #[test]
    fn the_span_doubles_with_each_failure_up_to_its_bound() {
        let mut pace = pace(3_000);
        let waits: Vec<_> = (0..7).map(|_| failure(&mut pace, 1.0)).collect();
        assert_eq!(waits, [6_000, 9_000, 15_000, 27_000, 51_000, 63_000, 63_000]);
        for _ in 0..100 {
            assert_eq!(failure(&mut pace, 1.0), 63_000);
        }
    }

    #[test]
    fn the_wait_is_never_shorter_than_the_reconnection_time() {
        let mut pace = pace(3_000);
        assert!((0..10).all(|_| failure(&mut pace, 0.0) == 3_000));
    }

    #[test]
    fn a_reconnection_time_of_zero_is_backed_off_too() {
        let mut pace = pace(0);
        assert_eq!((failure(&mut pace, 1.0), failure(&mut pace, 1.0)), (1_000, 2_000));
    }

    #[test]
    fn a_response_that_ends_after_an_event_is_no_failure() {
        let mut pace = pace(3_000);
        failure(&mut pace, 1.0);
        pace.opened();
        pace.event();
        assert_eq!(pace.wait_with(&Cause::Ended, 1.0).as_millis(), 3_000);
    }

    #[test]
    fn a_response_that_ends_at_once_is_a_failure() {
        let mut pace = pace(3_000);
        for expected in [6_000, 9_000] {
            pace.opened();
            assert_eq!(pace.wait_with(&Cause::Ended, 1.0).as_millis(), expected);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_healthy_period_without_events_resets_the_span() {
        let mut pace = pace(3_000);
        failure(&mut pace, 1.0);
        failure(&mut pace, 1.0);
        pace.opened();
        tokio::time::advance(Duration::from_secs(29)).await;
        assert_eq!(failure(&mut pace, 1.0), 15_000);
        pace.opened();
        tokio::time::advance(Duration::from_secs(30)).await;
        assert_eq!(failure(&mut pace, 1.0), 6_000);
    }

    #[test]
    fn random_numbers_cover_the_span() {
        let numbers: Vec<f64> = (0..1_000).map(|_| random()).collect();
        assert!(numbers.iter().all(|number| (0.0..1.0).contains(number)));
        let mean = numbers.iter().sum::<f64>() / 1_000.0;
        assert!((0.4..0.6).contains(&mean), "{mean}");
    }
}
