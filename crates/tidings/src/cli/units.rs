//! Values of flags that read as they are written: `64MiB`, `15s`.

use std::{fmt, str::FromStr, time::Duration};

use tidings_hub::{UpdateRetry, log::parse_bytes};

/// A number of bytes, such as `64MiB` or `64M`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bytes(pub(crate) u64);

impl FromStr for Bytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Bytes, String> {
        parse_bytes(text).map(Bytes)
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(u32, &str); 4] = [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")];
        let whole = |bits: &u32| self.0 > 0 && self.0.trailing_zeros() >= *bits;
        match UNITS.iter().find(|(bits, _)| whole(bits)) {
            Some((bits, unit)) => write!(f, "{}{unit}", self.0 >> bits),
            None => write!(f, "{}", self.0),
        }
    }
}

/// A time, such as `15s` or `1h 30m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Time(pub(crate) Duration);

impl FromStr for Time {
    type Err = humantime::DurationError;

    fn from_str(text: &str) -> Result<Time, humantime::DurationError> {
        humantime::parse_duration(text).map(Time)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

/// A reconnection time that a hub may take.
pub(super) fn retry(text: &str) -> Result<Time, String> {
    let time: Time = text.parse().map_err(|error: humantime::DurationError| error.to_string())?;
    if (UpdateRetry::MIN..=UpdateRetry::MAX).contains(&time.0) {
        return Ok(time);
    }
    Err(format!("a reconnection time is from {} to {}", Time(UpdateRetry::MIN), Time(UpdateRetry::MAX)))
}

/// The name of an environment variable.
///
/// Other text may be the secret itself, by mistake. So the flags that take a name do not show a value that is refused.
pub(super) fn variable_name(text: &str) -> Result<String, String> {
    let is_name = !text.starts_with(|first: char| first.is_ascii_digit())
        && !text.is_empty()
        && text.chars().all(|character| character.is_ascii_alphanumeric() || character == '_');
    if is_name {
        Ok(text.to_owned())
    } else {
        Err("use the name of an environment variable that has the secret".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_shown_in_its_largest_whole_unit_and_reads_back() {
        for (bytes, text) in
            [(0, "0"), (1000, "1000"), (64 << 20, "64MiB"), (1536, "1536"), (8 << 30, "8GiB")]
        {
            assert_eq!(Bytes(bytes).to_string(), text);
            assert_eq!(text.parse(), Ok(Bytes(bytes)));
        }
    }

    #[test]
    fn a_time_reads_back() {
        for text in ["100ms", "15s", "2m", "1day"] {
            assert_eq!(text.parse::<Time>().map(|time| time.to_string()), Ok(text.to_owned()));
        }
    }
}
