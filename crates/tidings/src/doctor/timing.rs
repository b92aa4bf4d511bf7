//! The delays on the way of a stream of known timing: each event holds its sending time, and the clock gives its
//! arrival.

use std::time::Duration;

use serde_json::Value;

use super::observation::{End, INSTANT, Seen};

/// A stream of known timing as it arrived.
#[derive(Clone, Debug, Default)]
pub(super) struct Timing {
    /// The name of this one stream.
    pub(super) stream: String,
    /// The number of requested events.
    pub(super) asked: u64,
    /// The version of HTTP of the request as the server received it.
    pub(super) version_at_server: String,
    /// The last event ID that reached the server.
    pub(super) last_event_id_at_server: Option<String>,
    /// The events in order of arrival.
    pub(super) arrivals: Vec<Arrival>,
    /// The last event of the stream, which marks it as complete.
    pub(super) end: Option<Arrival>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Arrival {
    pub(super) number: u64,
    /// The time at which the server sent it, from the server's start.
    pub(super) sent: Duration,
    /// The time at which it arrived here, from our start.
    pub(super) at: Duration,
}

impl Arrival {
    /// The delay from sending to arrival. The two clocks started at different times, so only differences between delays
    /// count.
    fn lag(&self) -> i64 {
        i64::try_from(self.at.as_micros()).unwrap_or(i64::MAX)
            - i64::try_from(self.sent.as_micros()).unwrap_or(i64::MAX)
    }
}

impl Timing {
    /// `None` for a stream without timing, or one of which nothing arrived.
    pub(super) fn of(seen: &Seen) -> Option<Timing> {
        if !seen.is_probe() {
            return None;
        }
        let mut timing = Timing::default();
        for event in seen.events() {
            let Ok(data) = serde_json::from_str::<Value>(event.data) else { continue };
            let arrival = |number| {
                let sent = Duration::from_micros(data["sent_us"].as_u64()?);
                Some(Arrival { number, sent, at: event.at })
            };
            match event.event_type {
                "start" => {
                    timing.stream = text(&data["stream"]).unwrap_or_default();
                    timing.asked = data["events"].as_u64().unwrap_or_default();
                    timing.version_at_server = text(&data["request"]["version"]).unwrap_or_default();
                    timing.last_event_id_at_server = text(&data["request"]["headers"]["last-event-id"]);
                }
                "end" => timing.end = arrival(0),
                _ => timing.arrivals.extend(data["n"].as_u64().and_then(arrival)),
            }
        }
        Some(timing)
    }

    /// The number of instants at which events arrived, per event: 1 is a stream, about 0 is one block.
    pub(super) fn score(&self) -> Option<f64> {
        let mut instants = 0;
        let mut last = None;
        for arrival in &self.arrivals {
            if last.is_none_or(|last| arrival.at.saturating_sub(last) > INSTANT) {
                instants += 1;
            }
            last = Some(arrival.at);
        }
        (self.arrivals.len() >= 3).then(|| f64::from(instants) / self.arrivals.len() as f64)
    }

    /// The delay of the slowest event beyond that of the fastest one.
    pub(super) fn held(&self) -> Duration {
        let lags = || self.arrivals.iter().chain(&self.end).map(Arrival::lag);
        let (Some(least), Some(most)) = (lags().min(), lags().max()) else { return Duration::ZERO };
        Duration::from_micros(u64::try_from(most - least).unwrap_or_default())
    }

    /// The same for the event at the 80th percentile, so that one stall of a busy machine does not count.
    pub(super) fn usually_held(&self) -> Duration {
        let mut lags: Vec<_> = self.arrivals.iter().map(Arrival::lag).collect();
        lags.sort_unstable();
        let (Some(least), Some(usual)) = (lags.first(), lags.get(lags.len() * 4 / 5)) else {
            return Duration::ZERO;
        };
        Duration::from_micros(u64::try_from(usual - least).unwrap_or_default())
    }

    /// Whether each event arrived when the next one was sent. Then the last event, which a longer silence follows, is
    /// late by that silence, and arrives together with the end.
    pub(super) fn is_one_behind(&self) -> bool {
        let Some((last, others)) = self.arrivals.split_last().filter(|(_, others)| others.len() >= 3) else {
            return false;
        };
        let Some(end) = self.end else { return false };
        let mut lags: Vec<_> = others.iter().map(Arrival::lag).collect();
        lags.sort_unstable();
        let usual = lags[lags.len() / 2];
        let every = others[1].sent.saturating_sub(others[0].sent).as_micros() as i64;
        let silence = end.sent.saturating_sub(last.sent).as_micros() as i64;
        // A slow server is not one event behind: its last event does not wait for the end.
        let came_with_end = end.at.saturating_sub(last.at) <= 2 * INSTANT;
        came_with_end && silence > 2 * every && last.lag() - usual > (silence - every) * 6 / 10
    }

    /// The time at which the stream was cut, if it ended too early.
    pub(super) fn cut(&self, seen: &Seen) -> Option<Duration> {
        (self.end.is_none() && matches!(seen.end, End::Complete | End::Broken(_))).then_some(seen.ended)
    }
}

/// The size of the blocks in which a stream arrived: the usual size of a piece, except the last one. `None` if there
/// are fewer than two.
pub(super) fn block(seen: &Seen) -> Option<usize> {
    let mut sizes: Vec<_> = seen.bursts().iter().map(|burst| burst.bytes).collect();
    sizes.pop();
    sizes.sort_unstable();
    sizes.get(sizes.len() / 2).copied()
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}
