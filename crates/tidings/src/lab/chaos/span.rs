//! The value of a fault: a single value, or a range from which each request gets a random value.

use std::{fmt, time::Duration};

use tidings_hub::log::parse_bytes;

use super::random::Random;

/// A value such as `2s`, or a range with both ends such as `1s..5s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    first: u64,
    last: u64,
    unit: Unit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Bytes,
    Milliseconds,
}

impl Span {
    /// Reads bytes, such as `8KiB` or `1KiB..64KiB`.
    pub(super) fn parse_bytes(text: &str) -> Result<Span, String> {
        Span::parse(text, Unit::Bytes, |text| match parse_bytes(text)? {
            0 => Err("use at least one byte".to_owned()),
            bytes => Ok(bytes),
        })
    }

    /// Reads a time, such as `2s` or `500ms..2s`.
    pub(super) fn parse_time(text: &str) -> Result<Span, String> {
        Span::parse(text, Unit::Milliseconds, |text| {
            let time = humantime::parse_duration(text).map_err(|error| error.to_string())?;
            u64::try_from(time.as_millis()).map_err(|_| "the time is too long".to_owned())
        })
    }

    fn parse(text: &str, unit: Unit, parse: impl Fn(&str) -> Result<u64, String>) -> Result<Span, String> {
        let (first, last) = text.split_once("..").unwrap_or((text, text));
        let (first, last) = (parse(first)?, parse(last)?);
        if first > last {
            return Err("the smaller end of a range comes first".to_owned());
        }
        Ok(Span { first, last, unit })
    }

    /// One value of the range.
    pub(super) fn choose(self, random: &mut Random) -> Span {
        let value = self.first + random.up_to(self.last - self.first);
        Span { first: value, last: value, ..self }
    }

    /// The value in bytes. For a range, its first value.
    pub(super) fn bytes(self) -> usize {
        usize::try_from(self.first).unwrap_or(usize::MAX)
    }

    /// The value as a time. For a range, its first value.
    pub(super) fn time(self) -> Duration {
        Duration::from_millis(self.first)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let write = |f: &mut fmt::Formatter<'_>, value| match self.unit {
            Unit::Bytes => write!(f, "{value}B"),
            // Without spaces, so that it can be used as a value again.
            Unit::Milliseconds => write!(f, "{value}ms"),
        };
        write(f, self.first)?;
        if self.first != self.last {
            f.write_str("..")?;
            write(f, self.last)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_chosen_from_its_range() {
        let span = Span::parse_time("1s..5s").unwrap();
        for number in 0..100 {
            let time = span.choose(&mut Random::of(1, number)).time();
            assert!((Duration::from_secs(1)..=Duration::from_secs(5)).contains(&time), "{time:?}");
        }
        assert_eq!(Span::parse_bytes("8KiB").unwrap().choose(&mut Random::of(1, 1)).bytes(), 8192);
    }

    #[test]
    fn what_is_shown_can_be_given_again() {
        for (text, shown) in [("8KiB", "8192B"), ("1K..2K", "1024B..2048B")] {
            assert_eq!(Span::parse_bytes(text).unwrap().to_string(), shown);
            assert_eq!(Span::parse_bytes(shown), Span::parse_bytes(text));
        }
        assert_eq!(Span::parse_time("1m 500ms").unwrap().to_string(), "60500ms");
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for text in ["", "..", "5s..1s", "1s..", "fast"] {
            assert!(Span::parse_time(text).is_err(), "{text}");
        }
        assert!(Span::parse_bytes("0").is_err());
    }
}
