//! Measures clients that reconnect together and catch up.

use std::time::Instant;

use anyhow::{Context, bail};
use serde_json::{Value, json};

use super::{
    Scenario,
    fleet::Fleet,
    job::Job,
    load::Load,
    meter::Meter,
    outcome::{Outcome, microseconds_each},
    target::{Run, Target},
};
use crate::cli::{BenchReplay, BenchTarget, PublishForm};

impl Scenario for BenchReplay {
    const NAME: &'static str = "replay";

    fn flags(&self) -> &BenchTarget {
        &self.target
    }

    fn settings(&self) -> Value {
        json!({ "subscribers": self.subscribers, "events": self.events, "bytes": self.target.bytes })
    }

    fn steps(&self) -> u64 {
        1
    }

    fn check(&self, _: &Target) -> anyhow::Result<()> {
        Ok(())
    }

    fn measure(&self, target: &Target, meter: &mut Meter) -> anyhow::Result<Outcome> {
        let run = Run::new(1, self.target.bytes);
        let id = self.publish(target, &run)?;
        let mut fleet = Fleet::start(self.subscribers, self.target.processes)?;
        let window = self.subscribers;
        let job = Job { first_update: 1, window, ..target.job(&run, self.subscribers, Some(&id)) };

        let (began, cpu) = (Instant::now(), target.processes.cpu());
        let opened = fleet.open(&job)?;
        let is_complete = fleet.reach(u64::from(self.events), self.target.patience)?;
        let took = began.elapsed().as_secs_f64();
        let cpu = target.processes.cpu().zip(cpu).map(|(after, before)| after.saturating_sub(before));
        let report = fleet.report()?;
        meter.add(1);

        let clients = u64::from(self.subscribers);
        let expected = clients * u64::from(self.events);
        let mut outcome = Outcome::new();
        outcome.deliveries(&report, expected);
        outcome.measure("events_per_second", Some(expected as f64 / took).filter(|_| is_complete));
        outcome.measure("connects_per_second", Some(clients as f64 / opened.as_secs_f64()));
        outcome.measure("cpu_us_per_client", microseconds_each(cpu, clients).filter(|_| is_complete));
        outcome.measure("cpu_us_per_delivery", microseconds_each(cpu, expected).filter(|_| is_complete));
        outcome.latencies("connect", &report.connect_latencies);
        outcome.reason = report.reason;
        Ok(outcome)
    }
}

impl BenchReplay {
    /// Publishes the missed updates, and one update before them. Returns the ID of that update.
    fn publish(&self, target: &Target, run: &Run) -> anyhow::Result<String> {
        let mut witness = Fleet::start(1, 1)?;
        witness.open(&Job { wants_id: true, ..target.job(run, 1, None) })?;
        let mut load = Load::new(target, run, PublishForm::Post)?;
        load.sweep(1 + u64::from(self.events))?;
        load.finish()?;
        let is_complete = witness.reach(load.sweeps(), self.target.patience)?;
        let report = witness.report()?;
        if !is_complete {
            bail!("only {} of {} published updates arrived", report.tally.delivered, load.sweeps());
        }
        report.id.filter(|id| !id.is_empty()).context("its events have no IDs, so clients cannot resume")
    }
}
