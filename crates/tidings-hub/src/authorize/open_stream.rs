//! Open streams, and whether they may go on.

use std::{
    sync::atomic::{AtomicU8, AtomicU32, Ordering},
    time::{Duration, SystemTime},
};

use tokio::time::Instant;

use super::{Denial, Grant};

/// Why streams end although their clients are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum AccessEnd {
    /// The time of the credential is over.
    Expired = 1,
    /// Somebody has revoked it.
    Revoked = 2,
    /// The access file allows less than before.
    Rules = 3,
    /// A limit is used up: another stream takes the place of this one.
    Limit = 4,
}

impl AccessEnd {
    /// The word of the event `access`.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            AccessEnd::Expired => "expired",
            AccessEnd::Revoked => "revoked",
            AccessEnd::Rules => "rules",
            AccessEnd::Limit => "limit",
        }
    }
}

/// Whether the streams of a grant may go on, and how many are open. Each stream looks at it when the hub calls it to.
#[derive(Debug, Default)]
pub(crate) struct Standing {
    ended: AtomicU8,
    streams: AtomicU32,
}

impl Standing {
    /// Ends all that look at it. The first reason counts.
    pub(crate) fn end(&self, reason: AccessEnd) {
        // Nothing else is read by means of it.
        let _ = self.ended.compare_exchange(0, reason as u8, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Why it has ended; `None` while it holds.
    pub(crate) fn ended(&self) -> Option<AccessEnd> {
        match self.ended.load(Ordering::Relaxed) {
            0 => None,
            1 => Some(AccessEnd::Expired),
            2 => Some(AccessEnd::Revoked),
            3 => Some(AccessEnd::Rules),
            _ => Some(AccessEnd::Limit),
        }
    }

    /// How many streams are open.
    pub(crate) fn streams(&self) -> u32 {
        self.streams.load(Ordering::Relaxed)
    }
}

/// The hold of an open stream on its grant, for as long as the stream is open.
#[derive(Debug)]
pub(crate) struct OpenStream(Grant);

impl OpenStream {
    /// A stream that begins. `None` for a grant that never ends, and of which nobody counts the streams.
    pub(super) fn of(grant: &Grant) -> Option<OpenStream> {
        match (grant.standing(), grant.term()) {
            (None, None) => None,
            (standing, _) => {
                if let Some(standing) = standing {
                    standing.streams.fetch_add(1, Ordering::Relaxed);
                }
                Some(OpenStream(grant.clone()))
            }
        }
    }

    /// Why it has to end; `None` while it may go on.
    pub(crate) fn ended(&self, now: Instant) -> Option<AccessEnd> {
        let is_over = self.0.term().is_some_and(|term| term.end <= now);
        self.0.standing().and_then(Standing::ended).or(is_over.then_some(AccessEnd::Expired))
    }

    /// # Errors
    /// 401 if somebody has ended it before its time.
    pub(crate) fn was_not_ended(&self) -> Result<(), Denial> {
        self.0.was_not_ended()
    }

    /// How much time is left, and how long before the end its client is told.
    pub(crate) fn term(&self) -> Option<&Term> {
        self.0.term()
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        if let Some(standing) = self.0.standing() {
            standing.streams.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// The time of a grant that ends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Term {
    /// Its end by the clock of the day, which its issuer knows.
    pub(crate) expires: SystemTime,
    /// The same by the clock that never jumps.
    pub(crate) end: Instant,
    /// How long before the end a stream is told, so that its client can come back with a new credential.
    pub(crate) notice: Duration,
}

/// The longest time before the end. It is a tenth of the time that the grant holds in all, if that is less.
const NOTICE: Duration = Duration::from_secs(30);

/// A grant that ends later than this ends then: 30 years.
const FAR: Duration = Duration::from_secs(30 * 365 * 86_400);

impl Term {
    /// The time of a grant that ends at `expires`. It began at `issued`, or now.
    pub(crate) fn new(expires: SystemTime, issued: Option<SystemTime>) -> Term {
        let now = SystemTime::now();
        let left = expires.duration_since(now).unwrap_or_default().min(FAR);
        let life = expires.duration_since(issued.unwrap_or(now)).unwrap_or_default();
        Term { expires, end: Instant::now() + left, notice: NOTICE.min(life / 10) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_reason_for_an_end_counts() {
        for reason in [AccessEnd::Expired, AccessEnd::Revoked, AccessEnd::Rules, AccessEnd::Limit] {
            let standing = Standing::default();
            assert_eq!(standing.ended(), None);
            standing.end(reason);
            standing.end(AccessEnd::Expired);
            assert_eq!(standing.ended(), Some(reason));
        }
    }
}
