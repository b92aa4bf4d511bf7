//! The progress of a measurement, over all its rounds and servers.

use crate::progress::Progress;

pub(super) struct Meter {
    progress: Progress,
    done: u64,
    total: u64,
}

impl Meter {
    pub(super) fn new(what: &'static str, total: u64) -> Meter {
        Meter { progress: Progress::new(what), done: 0, total }
    }

    pub(super) fn add(&mut self, steps: u64) {
        self.done += steps;
        self.progress.show(self.done, self.total);
    }
}
