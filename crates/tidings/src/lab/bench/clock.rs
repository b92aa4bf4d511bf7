//! A clock that the processes of one measurement share.

use std::time::{Instant, SystemTime};

/// Nanoseconds since 1970. They never go backwards within a process, even if the system's clock is set.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    began: Instant,
    offset: u64,
}

impl Clock {
    /// Starts at the system's time. Two processes on one machine differ by microseconds at most, unless the clock is set
    /// between their starts.
    pub(super) fn start() -> Clock {
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let offset = u64::try_from(since_1970.as_nanos()).unwrap_or_default();
        Clock { began: Instant::now(), offset }
    }

    pub(super) fn now(&self) -> u64 {
        self.offset + u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX - self.offset)
    }
}
