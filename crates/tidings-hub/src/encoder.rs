//! A thread that encodes long pages.
//!
//! Encoding is CPU time. If many clients request much at once and each task encoded for itself, a publish would wait
//! for all of them. Here the jobs wait in a queue beside the tasks: at most one core encodes, and other work goes on.

use std::{
    sync::{OnceLock, mpsc},
    thread::{self, JoinHandle},
};

use tokio::sync::oneshot;

type Job = Box<dyn FnOnce() + Send>;

/// Does one job at a time, in order of arrival. The thread starts with the first job, and ends when this is dropped.
#[derive(Debug, Default)]
pub(crate) struct Encoder(OnceLock<Option<Line>>);

#[derive(Debug)]
struct Line {
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Encoder {
    /// Returns the result of `job` once it is done. There is no result if it panics.
    pub(crate) fn encode<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> oneshot::Receiver<T> {
        let (give, given) = oneshot::channel();
        let job: Job = Box::new(move || {
            // The caller may be gone before the job begins or ends.
            if !give.is_closed() {
                let _ = give.send(job());
            }
        });
        let line = self.0.get_or_init(|| {
            let failed = |error| tracing::warn!(%error, "cannot start the thread that encodes pages");
            Line::begin().map_err(failed).ok()
        });
        // Without a thread, the job is done here.
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
                // The rest of a job that panics is dropped, so its caller learns of the panic, which has already been
                // reported.
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
