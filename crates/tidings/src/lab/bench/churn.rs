//! Measures clients that connect and disconnect, together with steady ones.

use std::time::Instant;

use serde_json::{Value, json};

use super::{
    Scenario, beside::Steady, fleet::Fleet, job::Job, meter::Meter, outcome::Outcome, target::Target,
};
use crate::cli::{BenchChurn, BenchTarget};

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
        let steady = Steady {
            subscribers: self.subscribers,
            events: self.events,
            rate: self.rate,
            flags: &self.target,
        };
        let (mut outcome, (churned, took, cpu)) = steady.measure(target, meter, |run, publish| {
            let mut churning = Fleet::start(self.churning, 1)?;
            let window = self.churning;
            churning.open(&Job { churns: true, window, ..target.job(run, self.churning, None) })?;
            let (began, cpu) = (Instant::now(), target.processes.cpu());
            publish()?;
            let took = began.elapsed().as_secs_f64();
            let cpu = target.processes.cpu().zip(cpu).map(|(after, before)| after.saturating_sub(before));
            Ok((churning.report()?, took, cpu))
        })?;
        outcome.measure("connects_per_second", Some(churned.connected as f64 / took));
        outcome.measure("cpu_percent", cpu.map(|cpu| cpu.as_secs_f64() / took * 100.0));
        outcome.latencies("connect", &churned.connect_latencies);
        outcome.count("refused", churned.disconnected);
        outcome.is_faithful &= churned.disconnected == 0;
        outcome.reason = outcome.reason.or(churned.reason);
        Ok(outcome)
    }
}
