//! The end of a stream whose grant ends, and the notice before it.

use bytes::Bytes;
use serde_json::json;
use tidings_codec::{Event, EventType};
use tokio::time::Instant;

use crate::authorize::{AccessEnd, OpenStream, Term};

/// The hold of a stream on its grant. It takes 16 bytes for each stream whose grant may end, and none for the others.
#[derive(Debug)]
pub(crate) struct Expiry {
    open: OpenStream,
    /// Whether its client was told of the end before it came.
    is_told: bool,
}

/// The event that is due.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Due {
    Notice(Bytes),
    End(AccessEnd, Bytes),
}

impl Expiry {
    pub(crate) fn of(open: OpenStream) -> Expiry {
        Expiry { open, is_told: false }
    }

    /// When something is due by itself; `None` if only somebody else ends it.
    pub(crate) fn next(&self) -> Option<Instant> {
        let Term { end, notice, .. } = self.open.term()?;
        Some(if self.is_told { *end } else { end.checked_sub(*notice).unwrap_or(*end) })
    }

    /// Whether it has ended.
    #[cfg(unix)]
    pub(crate) fn is_over(&self, now: Instant) -> bool {
        self.open.ended(now).is_some()
    }

    /// The notice or end that is due by now. A notice is given once.
    pub(crate) fn take_due(&mut self, now: Instant) -> Option<Due> {
        if let Some(reason) = self.open.ended(now) {
            return Some(Due::End(reason, access(&json!({ "reason": reason.as_str() }))));
        }
        let end = self.open.term()?.end;
        if self.is_told || now < self.next()? {
            return None;
        }
        self.is_told = true;
        let seconds = (end - now).as_millis().div_ceil(1000) as u64;
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
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::{Grant, Matchers, Selector};

    /// The hold on a grant that ends after some seconds.
    fn ends_after(seconds: u64) -> Expiry {
        let expires = SystemTime::now() + Duration::from_secs(seconds);
        let grant = Grant::default().with_read(Matchers::all()).with_expiry(expires);
        Expiry::of(grant.reading(Selector::everything()).unwrap().open.unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn a_notice_comes_once_and_half_a_minute_or_a_tenth_before_the_end() {
        for (left, notice, seconds) in [(3600, 3570, 30), (20, 18, 2), (300, 270, 30)] {
            let began = Instant::now();
            let mut expiry = ends_after(left);
            let of = |seconds: u64| began + Duration::from_secs(seconds);
            assert!(expiry.next().unwrap() <= of(notice) && expiry.next().unwrap() > of(notice - 1));
            assert_eq!(expiry.take_due(of(notice - 1)), None);
            let Some(Due::Notice(event)) = expiry.take_due(of(notice)) else { panic!("{expiry:?}") };
            let event = std::str::from_utf8(&event).unwrap();
            assert_eq!(
                event,
                format!("event: access\ndata: {{\"in\":{seconds},\"reason\":\"expires\"}}\n\n")
            );
            assert_eq!(expiry.take_due(of(notice)), None);
            let end = "event: access\ndata: {\"reason\":\"expired\"}\n\n";
            assert_eq!(expiry.take_due(of(left)), Some(Due::End(AccessEnd::Expired, end.into())));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_grant_that_has_expired_ends_at_once_and_one_that_never_ends_is_far_away() {
        assert!(matches!(ends_after(0).take_due(Instant::now()), Some(Due::End(..))));
        let year = Duration::from_secs(365 * 86_400);
        assert_eq!(ends_after(u64::from(u32::MAX)).take_due(Instant::now() + 20 * year), None);
    }
}
