//! The parameters of a probe, and their bounds.

use std::time::Duration;

/// The maximum duration of a stream, by its knobs.
const MAX_DURATION: Duration = Duration::from_secs(20 * 60);

/// The maximum number of bytes of a stream, by its knobs.
const MAX_BYTES: u64 = 8 << 20;

/// The shape of a stream: parameters of the query, all whole numbers. Unknown parameters are ignored, because a URL may
/// have its own.
///
/// In all, a stream takes at most 20 minutes and has at most 8 MiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Knobs {
    /// `events`: the number of events. Default 30, at most 2,000.
    pub events: u32,
    /// `every`: milliseconds from one event to the next, and before the first one. Default 100, at most 60,000.
    pub every: Duration,
    /// `size`: bytes of filler in each event, which compress badly. Default 0, at most 64 KiB.
    pub size: usize,
    /// `pad`: bytes of a comment before the first event, to fill buffers on the way. Default 0, at most 64 KiB.
    pub pad: usize,
    /// `heartbeat`: milliseconds from one comment to the next in the silence after the last event. Default 0, for none.
    pub heartbeat: Duration,
    /// `idle`: milliseconds of silence after the last event. Default 500, at most 20 minutes.
    pub idle: Duration,
    /// `finish`: `1` ends the stream with an event of type `end`, `0` without one. Default 1.
    pub finish: bool,
}

impl Default for Knobs {
    fn default() -> Knobs {
        Knobs {
            events: 30,
            every: Duration::from_millis(100),
            size: 0,
            pad: 0,
            heartbeat: Duration::ZERO,
            idle: Duration::from_millis(500),
            finish: true,
        }
    }
}

/// A knob that is out of its bounds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the probe's parameter {name} is {value:?}; {rule}")]
pub struct InvalidKnob {
    name: String,
    value: String,
    rule: &'static str,
}

impl Knobs {
    /// Reads the query of a URL.
    ///
    /// # Errors
    /// [`InvalidKnob`] for a knob that is not a number or out of its bounds, and if the knobs together ask for too
    /// much.
    pub fn parse(query: &str) -> Result<Knobs, InvalidKnob> {
        let mut knobs = Knobs::default();
        for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            let number = |max: u64, rule| {
                let number = value.parse().ok().filter(|number: &u64| *number <= max);
                number.ok_or_else(|| InvalidKnob { name: name.into(), value: value.into(), rule })
            };
            match name {
                "events" => knobs.events = number(2_000, "use a number from 0 to 2000")? as u32,
                "every" => knobs.every = millis(number(60_000, "use milliseconds from 0 to 60000")?),
                "size" => knobs.size = number(65_536, "use bytes from 0 to 65536")? as usize,
                "pad" => knobs.pad = number(65_536, "use bytes from 0 to 65536")? as usize,
                "heartbeat" => {
                    knobs.heartbeat = millis(number(600_000, "use milliseconds from 0 to 600000")?);
                }
                "idle" => knobs.idle = millis(number(1_200_000, "use milliseconds from 0 to 1200000")?),
                "finish" => knobs.finish = number(1, "use 0 or 1")? == 1,
                _ => {}
            }
        }
        // A heartbeat each millisecond would be a flood.
        if !knobs.heartbeat.is_zero() {
            knobs.heartbeat = knobs.heartbeat.max(millis(100));
        }
        let together = |value: String, rule| InvalidKnob { name: "events".into(), value, rule };
        if knobs.duration() > MAX_DURATION {
            return Err(together(
                knobs.events.to_string(),
                "together with every and idle, the stream takes more than 20 minutes",
            ));
        }
        if knobs.size as u64 * u64::from(knobs.events) + knobs.pad as u64 > MAX_BYTES {
            return Err(together(
                knobs.events.to_string(),
                "together with size and pad, the stream has more than 8 MiB",
            ));
        }
        Ok(knobs)
    }

    /// The duration of the stream.
    pub(super) fn duration(&self) -> Duration {
        self.every * self.events + self.idle
    }
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_knob_is_bounded_and_all_together_are() {
        assert_eq!(Knobs::parse("").unwrap(), Knobs::default());
        let knobs = Knobs::parse("topic=a&probe=1&events=3&every=10&size=9&finish=0").unwrap();
        assert_eq!((knobs.events, knobs.size, knobs.finish), (3, 9, false));
        for query in ["events=2001", "events=x", "every=-1", "size=65537", "events=2000&size=65536"] {
            assert!(Knobs::parse(query).is_err(), "{query}");
        }
        assert!(Knobs::parse("events=2000&every=60000").unwrap_err().to_string().contains("20 minutes"));
        assert_eq!(Knobs::parse("heartbeat=1").unwrap().heartbeat, Duration::from_millis(100));
    }
}
