//! The end of a subscription whose grant expires, and the notice before it.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use serde_json::json;
use tidings_codec::{Event, EventType};

/// How long before the end a subscriber is told, so that it can come back with a new credential. It is a tenth of the time that
/// was left at the beginning, if that is less.
const NOTICE: Duration = Duration::from_secs(30);

/// The time at which a grant expires, in milliseconds of the caller's clock. It takes 12 bytes for each subscription
/// that ends, and none for the others.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expiry {
    end: u64,
    /// How long before the end a notice is due; 0 once it was given.
    notice: u32,
}

/// The expiry that is due, with its event.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Due {
    Notice(Bytes),
    End(Bytes),
}

impl Expiry {
    /// The expiry of a grant that ends at a time. `now` is the time of the caller's clock.
    pub(crate) fn of(expires: SystemTime, now: u64) -> Expiry {
        let left = expires.duration_since(SystemTime::now()).unwrap_or_default();
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let notice = u32::try_from(millis(NOTICE.min(left / 10))).unwrap_or_default();
        Expiry { end: now.saturating_add(millis(left)), notice }
    }

    /// When something is due next.
    pub(crate) fn next(&self) -> u64 {
        self.end - u64::from(self.notice)
    }

    /// Whether it has ended.
    #[cfg(unix)]
    pub(crate) fn is_over(&self, now: u64) -> bool {
        now >= self.end
    }

    /// The notice or end that is due by now. A notice is given once.
    pub(crate) fn take_due(&mut self, now: u64) -> Option<Due> {
        if now >= self.end {
            return Some(Due::End(access(&json!({ "reason": "expired" }))));
        }
        if now < self.next() {
            return None;
        }
        self.notice = 0;
        let seconds = (self.end - now).div_ceil(1000);
        Some(Due::Notice(access(&json!({ "reason": "expires", "in": seconds }))))
    }
}

/// An event of type `access`. It has no ID, because it is no position: a client resumes after the event before it.
fn access(data: &serde_json::Value) -> Bytes {
    let event_type = EventType::parse("access").expect("a word is a valid event type");
    Event::new(data.to_string()).with_type(event_type).to_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_comes_once_and_half_a_minute_or_a_tenth_before_the_end() {
        for (left, notice, seconds) in [(3600, 3570, 30), (20, 18, 2), (300, 270, 30)] {
            let mut expiry = Expiry::of(SystemTime::now() + Duration::from_secs(left), 5_000);
            // A few milliseconds have passed since.
            let of = |seconds: u64| 5_000 + seconds * 1_000;
            assert!(expiry.next() <= of(notice) && expiry.next() > of(notice) - 1_000);
            assert_eq!(expiry.take_due(of(notice) - 1_000), None);
            let Some(Due::Notice(event)) = expiry.take_due(of(notice)) else { panic!("{expiry:?}") };
            let event = std::str::from_utf8(&event).unwrap();
            assert_eq!(
                event,
                format!("event: access\ndata: {{\"in\":{seconds},\"reason\":\"expires\"}}\n\n")
            );
            assert_eq!(expiry.take_due(of(notice) + 1), None);
            assert_eq!(
                expiry.take_due(of(left)),
                Some(Due::End("event: access\ndata: {\"reason\":\"expired\"}\n\n".into()))
            );
        }
    }

    #[test]
    fn a_grant_that_has_expired_ends_at_once_and_one_that_never_ends_is_far_away() {
        let mut gone = Expiry::of(SystemTime::UNIX_EPOCH, 7);
        assert!(matches!(gone.take_due(7), Some(Due::End(_))));
        let mut far = Expiry::of(SystemTime::UNIX_EPOCH + Duration::from_secs(u64::from(u32::MAX) * 1000), 7);
        assert_eq!(far.take_due(1 << 40), None);
    }
}
