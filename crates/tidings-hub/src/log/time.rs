//! When a record came.

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// A time that a record can have: whole milliseconds, from 1970 to the end of the year 9999.
///
/// As text it is what history shows: `2026-01-02T03:04:05.678Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordTime(u64);

/// The last millisecond of the year 9999: later ones have no text of the usual form.
const MAX_MILLIS: u64 = 253_402_300_799_999;

impl RecordTime {
    /// The first: 1970-01-01T00:00:00Z.
    pub const MIN: RecordTime = RecordTime(0);
    /// The last: 9999-12-31T23:59:59.999Z.
    pub const MAX: RecordTime = RecordTime(MAX_MILLIS);

    /// Takes a time of those years. Parts of a millisecond are cut off.
    ///
    /// # Errors
    /// [`InvalidTime`] for any other.
    pub fn parse(time: SystemTime) -> Result<RecordTime, InvalidTime> {
        let millis =
            time.duration_since(UNIX_EPOCH).ok().and_then(|since| u64::try_from(since.as_millis()).ok());
        let millis = millis.filter(|millis| *millis <= MAX_MILLIS);
        millis.map(RecordTime).ok_or_else(|| InvalidTime { text: format!("{time:?}") })
    }

    /// The same for a text of the form `2026-01-02T03:04:05.678Z`.
    ///
    /// # Errors
    /// [`InvalidTime`] for anything else.
    pub fn parse_rfc3339(text: &str) -> Result<RecordTime, InvalidTime> {
        let time = humantime::parse_rfc3339(text).ok().and_then(|time| RecordTime::parse(time).ok());
        time.ok_or_else(|| InvalidTime { text: text.to_owned() })
    }

    /// The time of the machine's clock. A clock outside those years counts as the nearest of them.
    pub fn now() -> RecordTime {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        RecordTime(u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX).min(MAX_MILLIS))
    }

    /// One that was stored. Earlier versions took any that fits, and a record's check is over what it was.
    pub(crate) const fn stored(millis: u64) -> RecordTime {
        RecordTime(millis)
    }

    /// In milliseconds since 1970.
    pub(crate) const fn as_millis(self) -> u64 {
        self.0
    }
}

impl From<RecordTime> for SystemTime {
    fn from(RecordTime(millis): RecordTime) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(millis.min(MAX_MILLIS))
    }
}

impl fmt::Display for RecordTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_rfc3339_millis((*self).into()).fmt(f)
    }
}

/// Why a time or a text is no [`RecordTime`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("time {text:?} is not of the form \"2026-01-02T03:04:05.678Z\", from 1970 to 9999")]
pub struct InvalidTime {
    text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_of_the_years_that_have_a_text() {
        for text in ["1970-01-01T00:00:00.000Z", "2026-01-02T03:04:05.678Z", "9999-12-31T23:59:59.999Z"] {
            let time = RecordTime::parse_rfc3339(text).unwrap();
            assert_eq!(time.to_string(), text);
            assert_eq!(RecordTime::parse(time.into()), Ok(time));
        }
        for text in ["", "yesterday", "1969-12-31T23:59:59.999Z", "10000-01-01T00:00:00Z", "2026-01-02", "-1"]
        {
            let error = RecordTime::parse_rfc3339(text).unwrap_err().to_string();
            assert!(error.contains(&format!("{text:?}")), "{error}");
        }
        let year_300000 = UNIX_EPOCH + Duration::from_secs(298_000 * 31_556_952);
        for time in [UNIX_EPOCH - Duration::from_millis(1), year_300000] {
            assert!(RecordTime::parse(time).is_err(), "{time:?}");
        }
    }

    #[test]
    fn what_an_earlier_version_stored_has_a_text() {
        for millis in [MAX_MILLIS + 1, i64::MAX as u64, u64::MAX] {
            let time = RecordTime::stored(millis);
            assert_eq!((time.as_millis(), &*time.to_string()), (millis, "9999-12-31T23:59:59.999Z"));
        }
    }
}
