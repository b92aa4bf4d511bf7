//! The clock that ages go by.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use super::RecordTime;

/// How far the machine's clock may be moved at once. A clock that is set right moves by less; one that moves by more may as
/// well have been set wrong.
const MAX_STEP: Duration = Duration::from_secs(60 * 60);

/// The clock for the ages of records. It follows the machine's clock and never runs back.
///
/// A machine's clock that jumps by more than an hour, against the time that has passed, is not followed until it comes back, or
/// until the log is opened again: one wrong setting would evict for good all that has an age. Meanwhile ages go on by the time
/// that passes. The jump is logged, and [`Wear::clock_jump`](super::Wear::clock_jump) says how far it went.
#[derive(Clone)]
pub struct Clock {
    read: Arc<dyn Fn() -> (SystemTime, Duration) + Send + Sync>,
    state: Arc<Mutex<State>>,
}

struct State {
    /// In milliseconds since 1970.
    now: u64,
    /// When that was, by the time that passes.
    passed: Duration,
    /// How far the machine's clock is from here, if it is not followed.
    jump: Duration,
}

impl Clock {
    /// The machine's clock.
    pub fn system() -> Clock {
        let begun = Instant::now();
        Clock::reading(move || (SystemTime::now(), begun.elapsed()))
    }

    /// A clock that asks `read` for the time of day, and for how long it has been running.
    pub fn reading(read: impl Fn() -> (SystemTime, Duration) + Send + Sync + 'static) -> Clock {
        let (time, passed) = read();
        let state = State { now: millis(time), passed, jump: Duration::ZERO };
        Clock { read: Arc::new(read), state: Arc::new(Mutex::new(state)) }
    }

    /// In milliseconds since 1970.
    pub(crate) fn now(&self) -> u64 {
        let (time, passed) = (self.read)();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let since = passed.saturating_sub(state.passed);
        state.passed = state.passed.max(passed);
        let expected = state.now.saturating_add(u64::try_from(since.as_millis()).unwrap_or(u64::MAX));
        let says = millis(time);
        let jump = Duration::from_millis(says.abs_diff(expected));
        let had_jumped = !state.jump.is_zero();
        if jump <= MAX_STEP {
            if had_jumped {
                tracing::info!(
                    "the machine's clock agrees again with the time that has passed; ages follow it"
                );
            }
            (state.now, state.jump) = (state.now.max(says), Duration::ZERO);
        } else {
            if !had_jumped {
                tracing::warn!(
                    jump_seconds = jump.as_secs(),
                    "the machine's clock jumped: ages go on by the time that passes, until it comes back or the hub is restarted"
                );
            }
            (state.now, state.jump) = (expected, jump);
        }
        state.now
    }

    /// How far the machine's clock has jumped by now, if it is not followed.
    pub(crate) fn jump(&self) -> Duration {
        self.now();
        self.state.lock().unwrap_or_else(PoisonError::into_inner).jump
    }
}

fn millis(time: SystemTime) -> u64 {
    RecordTime::parse(time).map_or(0, RecordTime::as_millis)
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clock").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn it_follows_small_steps_and_no_jumps_and_never_runs_back() {
        let reading = Arc::new(Mutex::new((1_000_000, 0)));
        let clock = Clock::reading({
            let reading = reading.clone();
            move || {
                let (time, passed) = *reading.lock().unwrap();
                (UNIX_EPOCH + Duration::from_secs(time), Duration::from_secs(passed))
            }
        });
        for (time, passed, now, jump) in [
            (1_000_010, 10, 1_000_010, 0),
            // Set forward, and back.
            (1_003_000, 20, 1_003_000, 0),
            (1_002_000, 30, 1_003_000, 0),
            (1_003_100, 1_130, 1_003_100, 0),
            // A day ahead by mistake, a month, and back again.
            (1_089_500, 1_140, 1_003_110, 86_390),
            (3_600_000, 1_150, 1_003_120, 2_596_880),
            (1_003_131, 1_160, 1_003_131, 0),
            // Before it began.
            (5, 1_170, 1_003_141, 1_003_136),
        ] {
            *reading.lock().unwrap() = (time, passed);
            assert_eq!(
                (clock.now(), clock.jump()),
                (now * 1_000, Duration::from_secs(jump)),
                "{time} after {passed}"
            );
        }
    }
}
