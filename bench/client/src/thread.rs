//! The core that a thread runs on, and the processor time that it has used.

use std::time::Duration;

use rustix::thread::{CpuSet, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};

/// The clients have this core.
pub(crate) const CLIENT: usize = 0;
/// The server has this one, where there are two.
pub(crate) const SERVER: usize = 1;

/// Keeps the calling thread on a core. On a machine with one core it stays where it is.
pub(crate) fn pin(core: usize) {
    let mut set = CpuSet::new();
    set.set(core);
    if sched_setaffinity(None, &set).is_err() {
        eprintln!("there is no core {core}: client and server share one");
    }
}

/// The processor time of the calling thread, in user space and in the kernel. Waiting does not count.
pub(crate) fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).expect("a thread does not run for a negative time")
}
