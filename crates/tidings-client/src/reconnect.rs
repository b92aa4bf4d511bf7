//! Decides when a source reconnects, and records the reason.

use std::{
    fmt,
    hash::{BuildHasher, DefaultHasher, Hash, Hasher, RandomState},
    time::Duration,
};

use http::StatusCode;
use tokio::time::Instant;

use crate::{
    error::{Error, Refusal, TransportError},
    item::ReceivedEvent,
};

/// The reason why a source reconnects.
#[derive(Debug)]
#[non_exhaustive]
pub enum Cause {
    /// The server ended the response. By the standard this does not end the stream.
    Ended,
    /// The connection could not be made, or it broke.
    Network(TransportError),
    /// Nothing arrived for this long: see [`EventSource::with_idle_timeout`](crate::EventSource::with_idle_timeout).
    Idle(Duration),
    /// The server refused the request for now: see
    /// [`EventSource::with_status_retries`](crate::EventSource::with_status_retries).
    Status(Box<Refusal>),
    /// The hub has said that the credential expires soon, and the source resumes with another one: see
    /// [`EventSource::with_token`](crate::EventSource::with_token).
    Expiring,
}

impl Cause {
    /// The error for a source that must not try again. `None` for the normal end of a response.
    pub(crate) fn into_error(self) -> Option<Error> {
        match self {
            Self::Ended | Self::Expiring => None,
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
            Self::Idle(timeout) => write!(f, "nothing arrived for {timeout:?}"),
            Self::Status(refusal) => refusal.fmt(f),
            Self::Expiring => f.write_str("the credential expires soon"),
        }
    }
}

/// Decides how long to wait before each attempt.
///
/// The standard requires at least the reconnection time, and allows more after an attempt that failed. The source adds
/// a random part of a span that doubles with each failure in a row. Without it, all subscribers of a server that has
/// just restarted would reconnect at the same moment.
///
/// A server's request for a wait is obeyed within bounds. Neither a mistake nor malice can silence a client for good,
/// or make it reconnect in a storm.
#[derive(Debug)]
pub(crate) struct Pace {
    reconnection_time: Duration,
    /// The longest wait that a server may ask for.
    max_asked: Duration,
    /// The longest span to wait on top of the reconnection time.
    max_backoff: Duration,
    /// A connection that lasted this long is not a failure.
    pub(crate) healthy_after: Duration,
    /// The number of failed connections in a row.
    failures: u32,
    opened_at: Option<Instant>,
    brought: Brought,
    /// The events of the connection before the current one, if that connection was short.
    brought_before: Option<u64>,
    /// The number of short connections in a row that brought the same events as the one before them.
    repetitions: u32,
}

/// The reconnection time until the application or the server sets one. Browsers use about 1 to 5 s.
const USUAL: Duration = Duration::from_secs(3);

/// The shortest wait that a server may ask for. `retry: 0` with a response that ends at once would cause a storm.
const MIN_ASKED: Duration = Duration::from_millis(100);

/// The longest wait that a server may ask for, unless the application sets another limit.
const MAX_ASKED: Duration = Duration::from_secs(60 * 60);

/// The maximum for every wait that can be set. A longer one is a mistake.
const MAX_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// The first span if the reconnection time is shorter. Otherwise `retry: 0` would turn the back-off off.
const MIN_SPAN: Duration = Duration::from_secs(1);

impl Pace {
    pub(crate) fn new() -> Self {
        Self {
            reconnection_time: USUAL,
            max_asked: MAX_ASKED,
            max_backoff: Duration::from_secs(60),
            healthy_after: Duration::from_secs(30),
            failures: 0,
            opened_at: None,
            brought: Brought::default(),
            brought_before: None,
            repetitions: 0,
        }
    }

    /// The application sets the reconnection time.
    pub(crate) fn set_reconnection_time(&mut self, time: Duration) {
        self.reconnection_time = time.min(MAX_WAIT);
    }

    /// The application sets the longest wait that a server may ask for.
    pub(crate) fn set_max_asked(&mut self, max: Duration) {
        self.max_asked = max.clamp(MIN_ASKED, MAX_WAIT);
    }

    /// The application sets the longest back-off.
    pub(crate) fn set_max_backoff(&mut self, max: Duration) {
        self.max_backoff = max.min(MAX_WAIT);
    }

    /// The server asks for a reconnection time.
    pub(crate) fn asked(&mut self, time: Duration) {
        self.reconnection_time = time.clamp(MIN_ASKED, self.max_asked);
    }

    /// A connection is open.
    pub(crate) fn opened(&mut self) {
        self.opened_at = Some(Instant::now());
    }

    /// The connection has brought an event.
    pub(crate) fn event(&mut self, event: &ReceivedEvent) {
        self.brought.event(event);
    }

    /// The connection is lost. Returns how long to wait before the next one.
    ///
    /// A response that ended is a failure only if it brought no event and was short. Otherwise a server that accepts
    /// and ends every request at once would get requests without a pause.
    pub(crate) fn wait(&mut self, cause: &Cause) -> Duration {
        self.wait_with(cause, random())
    }

    fn wait_with(&mut self, cause: &Cause, random: f64) -> Duration {
        let long = self.opened_at.take().is_some_and(|opened| opened.elapsed() >= self.healthy_after);
        let brought = std::mem::take(&mut self.brought).fingerprint();
        let healthy = brought.is_some() || long;
        if healthy {
            self.failures = 0;
            let is_repetition = !long && brought == self.brought_before;
            self.repetitions = if is_repetition { self.repetitions.saturating_add(1) } else { 0 };
            self.brought_before = brought.filter(|_| !long);
        }
        if !matches!(cause, Cause::Expiring) && (!healthy || !matches!(cause, Cause::Ended)) {
            self.failures = self.failures.saturating_add(1);
        }
        let wait = self.reconnection_time.max(self.floor()) + self.span().mul_f64(random);
        match cause {
            Cause::Expiring => Duration::ZERO,
            // Not later: the next request has another credential, or is the last.
            Cause::Status(refusal) if refusal.status == StatusCode::UNAUTHORIZED => MIN_ASKED,
            Cause::Status(refusal) => {
                refusal.retry_after().map_or(wait, |asked| wait.max(asked.min(self.max_asked)))
            }
            _ => wait,
        }
    }

    /// The minimum wait for connections that end soon and bring nothing new. It doubles up to the usual time. A server
    /// that is polled more often than that, and has new events each time, is not slowed down.
    fn floor(&self) -> Duration {
        if self.repetitions == 0 {
            return Duration::ZERO;
        }
        let factor = 1_u32.checked_shl(self.repetitions).unwrap_or(u32::MAX);
        MIN_ASKED.saturating_mul(factor).min(USUAL).min(self.max_backoff)
    }

    /// The span for the random part of the wait: zero without failures, then doubling up to the bound.
    fn span(&self) -> Duration {
        let Some(doublings) = self.failures.checked_sub(1) else { return Duration::ZERO };
        let first = self.reconnection_time.max(MIN_SPAN);
        let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
        first.saturating_mul(factor).min(self.max_backoff)
    }
}

/// The events that a connection has brought, as a fingerprint.
#[derive(Debug, Default)]
struct Brought {
    events: u64,
    hasher: DefaultHasher,
}

/// How many events go into a fingerprint, so that a long stream pays nothing for a rule about short ones.
const MAX_EVENTS: u64 = 16;
const MAX_DATA_BYTES: usize = 1024;

impl Brought {
    fn event(&mut self, event: &ReceivedEvent) {
        self.events += 1;
        if self.events <= MAX_EVENTS {
            let data = event.data().as_bytes();
            event.id().map(tidings_codec::EventId::as_str).hash(&mut self.hasher);
            data[..data.len().min(MAX_DATA_BYTES)].hash(&mut self.hasher);
        }
    }

    /// `None` for a connection without events.
    fn fingerprint(mut self) -> Option<u64> {
        self.events.hash(&mut self.hasher);
        (self.events > 0).then(|| self.hasher.finish())
    }
}

/// A random number from 0 to below 1. The keys of a hasher are random enough to spread subscribers.
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

    fn event(data: &str) -> ReceivedEvent {
        ReceivedEvent::new(tidings_codec::Event::new(data), None, None)
    }

    /// Milliseconds to wait after connections that bring one event each, and are ended by the server.
    fn ended(pace: &mut Pace, data: &[&str]) -> Vec<u128> {
        let wait = |data: &&str| {
            pace.opened();
            pace.event(&event(data));
            pace.wait_with(&Cause::Ended, 1.0).as_millis()
        };
        data.iter().map(wait).collect()
    }

    fn broken() -> Cause {
        Cause::Network(TransportError::broken("cable"))
    }

    /// Milliseconds to wait after a failure, at the given point of the span.
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
        assert_eq!(ended(&mut pace, &["a"]), [3_000]);
    }

    #[test]
    fn what_a_server_asks_for_is_obeyed_within_bounds() {
        let mut pace = Pace::new();
        let mut asked = |millis| {
            pace.asked(Duration::from_millis(millis));
            pace.wait_with(&Cause::Ended, 0.0).as_millis()
        };
        assert_eq!([0, 99, 100, 5_000].map(&mut asked), [100, 100, 100, 5_000]);
        assert_eq!([3_600_000, 3_600_001, u64::MAX].map(asked), [3_600_000; 3]);
        pace.set_max_asked(Duration::MAX);
        pace.asked(Duration::MAX);
        assert_eq!(pace.wait_with(&Cause::Ended, 0.0), MAX_WAIT);
    }

    #[test]
    fn no_setting_makes_a_wait_of_years() {
        let mut pace = Pace::new();
        pace.set_reconnection_time(Duration::MAX);
        pace.set_max_backoff(Duration::MAX);
        assert!((0..100).all(|_| failure(&mut pace, 1.0) <= 2 * MAX_WAIT.as_millis()));
    }

    #[test]
    fn short_connections_that_bring_the_same_again_are_waited_for_longer() {
        let mut pace = pace(100);
        assert_eq!(ended(&mut pace, &["a"; 8]), [100, 200, 400, 800, 1_600, 3_000, 3_000, 3_000]);
        assert_eq!(ended(&mut pace, &["b", "c", "c"]), [100, 100, 200]);
        pace.set_max_backoff(Duration::ZERO);
        assert_eq!(ended(&mut pace, &["c"; 3]), [100; 3]);
    }

    #[test]
    fn a_server_that_is_polled_and_has_something_new_each_time_is_not_slowed_down() {
        let mut pace = pace(100);
        assert_eq!(ended(&mut pace, &["1", "2", "3", "2", "1"]), [100; 5]);
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
