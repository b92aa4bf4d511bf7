//! Measures updates to many subscribers.

use std::time::Instant;

use serde_json::{Value, json};

use super::{
    Scenario,
    fleet::Fleet,
    load::Load,
    meter::Meter,
    outcome::{Outcome, microseconds_each},
    target::{Run, Target},
};
use crate::{
    cli::{BenchFanout, BenchTarget, PublishForm},
    exit::UsageError,
};

/// Updates before the measurement: they warm up connections and buffers, and create each topic.
const WARM_UP: u64 = 1;

impl Scenario for BenchFanout {
    const NAME: &'static str = "fanout";

    fn flags(&self) -> &BenchTarget {
        &self.target
    }

    fn settings(&self) -> Value {
        json!({
            "subscribers": self.subscribers, "topics": self.topics, "events": self.events, "burst": self.burst,
            "rate": self.rate, "bytes": self.target.bytes, "http2": self.http2,
        })
    }

    fn steps(&self) -> u64 {
        u64::from(self.events) * u64::from(self.topics)
    }

    fn check(&self, target: &Target) -> anyhow::Result<()> {
        if self.topics > 1 && self.publish_as != PublishForm::Post {
            return Err(UsageError("a streamed body is for one topic; use --publish-as post".into()).into());
        }
        if self.topics > self.subscribers {
            return Err(UsageError("each topic needs a subscriber; increase --subscribers".into()).into());
        }
        target.check_topics(self.topics as usize)
    }

    fn measure(&self, target: &Target, meter: &mut Meter) -> anyhow::Result<Outcome> {
        let run = Run::new(self.topics, self.target.bytes);
        let (subscribers, events) = (u64::from(self.subscribers), u64::from(self.events));
        let mut fleet = Fleet::start(self.subscribers, self.target.processes)?;
        let opened = fleet.open(&target.job(&run, self.subscribers, None).over_http2(target, self.http2))?;
        let mut load = Load::new(target, &run, self.publish_as)?;
        load.sweep(WARM_UP)?;
        let mut is_complete = fleet.reach(WARM_UP, self.target.patience)?;
        fleet.forget_latencies()?;

        let (began, cpu, readers) = (Instant::now(), target.processes.cpu(), fleet.processes().cpu());
        if let Some(rate) = self.rate {
            // A burst goes to all topics together.
            let group = if self.burst > 1 { u64::from(self.burst) * u64::from(self.topics) } else { 1 };
            load.sweep_at(rate, group, events, |sent| meter.add(sent))?;
            load.settle()?;
            is_complete &= fleet.reach(load.sweeps(), self.target.patience)?;
        } else {
            let mut left = events;
            while is_complete && left > 0 {
                let burst = left.min(u64::from(self.burst));
                left -= burst;
                load.sweep(burst)?;
                is_complete = fleet.reach(load.sweeps(), self.target.patience)?;
                meter.add(burst * u64::from(self.topics));
            }
        }
        let took = began.elapsed();
        let used = |before: Option<_>, after: Option<std::time::Duration>| after?.checked_sub(before?);
        let cpu = used(cpu, target.processes.cpu());
        let readers = used(readers, fleet.processes().cpu());
        load.finish()?;

        let report = fleet.report()?;
        let measured = (load.sweeps() - WARM_UP) * subscribers;
        let mut outcome = Outcome::new();
        outcome.deliveries(&report, load.sweeps() * subscribers);
        outcome.measure("cpu_us_per_delivery", microseconds_each(cpu, measured).filter(|_| is_complete));
        outcome.measure("deliveries_per_second", Some(measured as f64 / took.as_secs_f64()));
        outcome.latencies("latency", &report.latencies);
        outcome.measure("connects_per_second", Some(subscribers as f64 / opened.as_secs_f64()));
        outcome.measure(
            "readers_busy_percent",
            readers.map(|used| used.as_secs_f64() / took.as_secs_f64() / f64::from(fleet.size()) * 100.0),
        );
        outcome.reason = report.reason;
        Ok(outcome)
    }
}
