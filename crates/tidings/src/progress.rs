//! A progress line on a terminal.

use std::{
    io::{IsTerminal, Write, stderr},
    time::{Duration, Instant},
};

const INTERVAL: Duration = Duration::from_millis(100);

/// A line on standard error that is overwritten while the work goes on. Without a terminal nothing is written.
pub(crate) struct Progress {
    what: &'static str,
    is_terminal: bool,
    shown: Option<Instant>,
}

impl Progress {
    pub(crate) fn new(what: &'static str) -> Progress {
        Progress { what, is_terminal: stderr().is_terminal(), shown: None }
    }

    /// Shows `done` of `total`, at most ten times a second. A total of 0 means unknown.
    pub(crate) fn show(&mut self, done: u64, total: u64) {
        let is_due = self.shown.is_none_or(|shown| shown.elapsed() >= INTERVAL);
        if self.is_terminal && is_due {
            self.shown = Some(Instant::now());
            let line = line(self.what, done, total);
            // Erases the line and the rest of a longer one. Errors do not matter here.
            let _ = write!(stderr(), "\r\x1b[2K{line}");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown.is_some() {
            let _ = write!(stderr(), "\r\x1b[2K");
        }
    }
}

fn line(what: &str, done: u64, total: u64) -> String {
    const WIDTH: u64 = 30;
    if total == 0 {
        return format!("{what} {done}");
    }
    let done = done.min(total);
    let share = |of: u64| (u128::from(done) * u128::from(of) / u128::from(total)) as usize;
    let (full, empty) = ("#".repeat(share(WIDTH)), ".".repeat(WIDTH as usize - share(WIDTH)));
    format!("{what} [{full}{empty}] {}%, {done} of {total}", share(100))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_is_as_full_as_the_work_is_done() {
        assert_eq!(line("checked", 0, 4), format!("checked [{}] 0%, 0 of 4", ".".repeat(30)));
        assert_eq!(
            line("checked", 2, 4),
            format!("checked [{}{}] 50%, 2 of 4", "#".repeat(15), ".".repeat(15))
        );
        assert_eq!(line("checked", 9, 4), format!("checked [{}] 100%, 4 of 4", "#".repeat(30)));
        assert_eq!(line("imported", 9, 0), "imported 9");
        assert!(line("checked", u64::MAX, u64::MAX).contains("100%"));
    }
}
