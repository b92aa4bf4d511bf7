//! The CPU time and memory of processes, from Linux. On other systems they are unknown.

use std::time::Duration;

/// Linux reports CPU time in hundredths of a second, independently of the kernel's configuration.
const TICK: Duration = Duration::from_millis(10);

/// Processes that are measured together, such as a server and its workers.
#[derive(Debug, Clone, Default)]
pub(super) struct Processes(Vec<u32>);

impl Processes {
    pub(super) fn new(ids: Vec<u32>) -> Processes {
        Processes(ids)
    }

    /// The CPU time of the processes, in user code and in the kernel. It is exact to the microsecond unless a thread
    /// with much CPU time has ended. Otherwise it is exact to a hundredth of a second.
    pub(super) fn cpu(&self) -> Option<Duration> {
        let threads = self.sum(cpu_of_threads).map(Duration::from_nanos);
        self.ticks().map(|all| threads.map_or(all, |threads| threads.max(all)))
    }

    fn ticks(&self) -> Option<Duration> {
        self.sum(|id| {
            let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
            // The name in parentheses may hold anything. User and system time are the 12th and 13th field after it.
            let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
            let field = |place: usize| fields.get(place)?.parse::<u64>().ok();
            Some(field(11)? + field(12)?)
        })
        .and_then(|ticks| TICK.checked_mul(u32::try_from(ticks).ok()?))
    }

    /// The private memory of the processes in bytes: heap and stacks, no files.
    pub(super) fn memory(&self) -> Option<u64> {
        self.sum(|id| {
            let status = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
            let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
            line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib << 10)
        })
    }

    fn sum(&self, of: impl Fn(u32) -> Option<u64>) -> Option<u64> {
        if self.0.is_empty() {
            return None;
        }
        self.0.iter().map(|id| of(*id)).sum()
    }
}

/// The nanoseconds that the living threads of a process have run.
fn cpu_of_threads(id: u32) -> Option<u64> {
    let threads = std::fs::read_dir(format!("/proc/{id}/task")).ok()?;
    let run = |thread: std::io::Result<std::fs::DirEntry>| {
        let schedstat = std::fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        schedstat.split_whitespace().next()?.parse::<u64>().ok()
    };
    // A thread that ends meanwhile is left out.
    Some(threads.filter_map(run).sum())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_time_and_memory() {
        let this = Processes::new(vec![std::process::id()]);
        assert!(this.memory().is_some_and(|bytes| bytes > 10_000));
        let before = this.cpu().expect("Linux tells");
        let mut number = 1_u64;
        while this.cpu().expect("Linux tells") == before {
            number = std::hint::black_box(number.wrapping_mul(3));
        }
        assert_eq!(Processes::default().cpu(), None, "nothing is known without processes");
        assert_eq!(Processes::new(vec![u32::MAX]).cpu(), None, "no process has this number");
    }
}
