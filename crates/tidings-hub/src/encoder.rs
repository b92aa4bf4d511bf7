//! A thread that encodes what is long.
//!
//! Encoding is CPU time, and where many clients ask for much at once, each task that encodes would have its turn before a publish
//! has the next of its own. Here they wait in a line beside the tasks: one core at the most encodes, and others go on.

use std::{
    sync::{OnceLock, mpsc},
    thread::{self, JoinHandle},
};

use tokio::sync::oneshot;

type Job = Box<dyn FnOnce() + Send>;

/// Does one job at a time, in the order in which they come. The thread begins with the first of them, and ends with this.
#[derive(Debug, Default)]
pub(crate) struct Encoder(OnceLock<Option<Line>>);

#[derive(Debug)]
struct Line {
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Encoder {
    /// What `job` gives, when it has been done. Nothing is given if it panics.
    pub(crate) fn encode<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> oneshot::Receiver<T> {
        let (give, given) = oneshot::channel();
        let job: Job = Box::new(move || {
            // Whoever asked may be gone, before it is begun or after.
            if !give.is_closed() {
                let _ = give.send(job());
            }
        });
        let line = self.0.get_or_init(|| {
            let failed = |error| tracing::warn!(%error, "the thread that encodes pages can't be started");
            Line::begin().map_err(failed).ok()
        });
        // Where there is no thread, it is done here.
        match line.as_ref().and_then(|line| line.jobs.as_ref()) {
            Some(jobs) => jobs.send(job).unwrap_or_else(|mpsc::SendError(job)| job()),
            None => job(),
        }
        given
    }
}

impl Line {
    fn begin() -> std::io::Result<Line> {
        let (jobs, asked) = mpsc::channel::<Job>();
        let thread = thread::Builder::new().name("tidings-encoder".into()).spawn(move || {
            for job in asked {
                // What is left of a job that panics is dropped, and whoever waits for it learns that. The panic has been reported.
                let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
            }
        })?;
        Ok(Line { jobs: Some(jobs), thread: Some(thread) })
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.jobs = None;
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that encodes pages panicked");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn jobs_are_done_one_after_the_other_and_one_that_panics_fails_alone() {
        let encoder = Encoder::default();
        let (go_on, told) = mpsc::channel::<()>();
        let first = encoder.encode(move || told.recv().is_err());
        let panics = encoder.encode(|| -> u8 { panic!("on purpose") });
        let mut second = encoder.encode(|| 2);
        assert!(second.try_recv().is_err(), "the first is not done");
        drop(go_on);
        assert!(first.await.unwrap() && panics.await.is_err());
        assert_eq!(second.await.unwrap(), 2);
    }
}
