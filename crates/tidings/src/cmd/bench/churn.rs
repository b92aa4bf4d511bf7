//! Clients that come and go beside steady ones.

use std::time::Instant;

use serde_json::{Value, json};

use super::{
    Scenario,
    fleet::Fleet,
    job::Job,
    load::Load,
    meter::Meter,
    outcome::Outcome,
    target::{Run, Target},
};
use crate::cli::{BenchChurn, BenchTarget, PublishForm};

impl Scenario for BenchChurn {
    const NAME: &'static str = "churn";

    fn flags(&self) -> &BenchTarget {
        &self.target
    }

    fn settings(&self) -> Value {
        json!({
            "subscribers": self.subscribers, "churning": self.churning, "events": self.events, "rate": self.rate,
            "bytes": self.target.bytes,
        })
    }

    fn steps(&self) -> u64 {
        2 * u64::from(self.events)
    }

    fn check(&self, _: &Target) -> anyhow::Result<()> {
        Ok(())
    }

    fn measure(&self, target: &Target, meter: &mut Meter) -> anyhow::Result<Outcome> {
        let run = Run::new(1, self.target.bytes);
        let (subscribers, events) = (u64::from(self.subscribers), u64::from(self.events));
        let mut steady = Fleet::start(self.subscribers, self.target.processes)?;
        steady.open(&target.job(&run, self.subscribers, None))?;
        let mut load = Load::new(target, &run, PublishForm::Post)?;

        let mut publish = |load: &mut Load, steady: &mut Fleet| -> anyhow::Result<()> {
            load.sweep_at(self.rate, 1, events, |sent| meter.add(sent))?;
            load.settle()?;
            // What is missing shows in the report.
            steady.reach(load.sweeps(), self.target.patience).map(drop)
        };
        publish(&mut load, &mut steady)?;
        let alone = steady.report()?;
        steady.forget_latencies()?;

        let mut churning = Fleet::start(self.churning, 1)?;
        let window = self.churning;
        churning.open(&Job { churns: true, window, ..target.job(&run, self.churning, None) })?;
        let (began, cpu) = (Instant::now(), target.processes.cpu());
        publish(&mut load, &mut steady)?;
        let took = began.elapsed().as_secs_f64();
        let cpu = target.processes.cpu().zip(cpu).map(|(after, before)| after.saturating_sub(before));
        let churned = churning.report()?;
        drop(churning);
        load.finish()?;

        let report = steady.report()?;
        let mut outcome = Outcome::new();
        outcome.deliveries(&report, load.sweeps() * subscribers);
        outcome.latencies("alone", &alone.latencies);
        outcome.latencies("beside", &report.latencies);
        outcome.measure("connects_per_second", Some(churned.connected as f64 / took));
        outcome.measure("cpu_percent", cpu.map(|cpu| cpu.as_secs_f64() / took * 100.0));
        outcome.latencies("connect", &churned.connect_latencies);
        outcome.count("refused", churned.disconnected);
        outcome.is_faithful &= churned.disconnected == 0;
        outcome.reason = report.reason.or(churned.reason);
        Ok(outcome)
    }
}
