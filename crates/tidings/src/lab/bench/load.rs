//! Publishes updates in order: one to each topic, and again.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::{
    clock::Clock,
    payload::{Mark, Payload},
    publisher::Publisher,
    target::{Run, Target},
};
use crate::cli::PublishForm;

/// The publisher of a run.
pub(super) struct Load {
    publisher: Publisher,
    payload: Payload,
    topics: Vec<String>,
    clock: Clock,
    /// The number of updates so far, for all topics together.
    count: u64,
    data: String,
}

impl Load {
    pub(super) fn new(target: &Target, run: &Run, form: PublishForm) -> anyhow::Result<Load> {
        Ok(Load {
            publisher: Publisher::connect(&target.publish, form)?,
            payload: Payload::new(run.number, run.bytes),
            topics: run.topics.clone(),
            clock: Clock::start(),
            count: 0,
            data: String::new(),
        })
    }

    /// The number of updates of each topic.
    pub(super) fn sweeps(&self) -> u64 {
        self.count / self.topics.len() as u64
    }

    /// Publishes `sweeps` updates to every topic, as fast as it goes.
    pub(super) fn sweep(&mut self, sweeps: u64) -> anyhow::Result<()> {
        let due = self.clock.now();
        for _ in 0..sweeps * self.topics.len() as u64 {
            self.add(due)?;
        }
        self.publisher.flush()
    }

    /// Publishes `sweeps` updates to every topic at `rate` updates a second, `group` of them at a time.
    ///
    /// An update that cannot be sent in time is sent late, and its latency counts from its due time.
    pub(super) fn sweep_at(
        &mut self,
        rate: u32,
        group: u64,
        sweeps: u64,
        mut sent: impl FnMut(u64),
    ) -> anyhow::Result<()> {
        let (start, began) = (Instant::now(), self.clock.now());
        let total = sweeps * self.topics.len() as u64;
        let mut told = 0;
        for number in 0..total {
            let after = (number / group * group) as f64 / f64::from(rate);
            let after = Duration::from_secs_f64(after);
            let left = after.saturating_sub(start.elapsed());
            if !left.is_zero() {
                self.publisher.flush()?;
                sent(number - std::mem::replace(&mut told, number));
                thread::sleep(after.saturating_sub(start.elapsed()));
            }
            self.add(began + u64::try_from(after.as_nanos()).unwrap_or_default())?;
        }
        self.publisher.flush()?;
        sent(total - told);
        Ok(())
    }

    /// Waits until the server has answered, if it answers before the end.
    ///
    /// # Errors
    /// The server has refused an update.
    pub(super) fn settle(&mut self) -> anyhow::Result<()> {
        self.publisher.settle()
    }

    /// Ends publishing.
    ///
    /// # Errors
    /// Not everything was accepted.
    pub(super) fn finish(&mut self) -> anyhow::Result<()> {
        self.publisher.finish()
    }

    fn add(&mut self, due: u64) -> anyhow::Result<()> {
        let topics = self.topics.len() as u64;
        let topic = &self.topics[(self.count % topics) as usize];
        self.data.clear();
        self.payload.write(Mark { number: self.count / topics, due }, &mut self.data);
        self.count += 1;
        self.publisher.add(topic, &self.data)
    }
}
