//! Measures idle connections.

use std::{thread, time::Instant};

use serde_json::{Value, json};

use super::{
    Scenario,
    fleet::Fleet,
    meter::Meter,
    outcome::Outcome,
    target::{Run, Target},
};
use crate::{
    cli::{BenchIdle, BenchTarget},
    exit::UsageError,
};

impl Scenario for BenchIdle {
    const NAME: &'static str = "idle";

    fn flags(&self) -> &BenchTarget {
        &self.target
    }

    fn settings(&self) -> Value {
        json!({
            "subscribers": self.subscribers, "topics": self.topics, "hold": humantime::format_duration(self.hold).to_string(),
            "http2": self.http2,
        })
    }

    fn steps(&self) -> u64 {
        1
    }

    fn check(&self, target: &Target) -> anyhow::Result<()> {
        if target.processes.memory().is_none() {
            let problem = "the memory of a server is unknown: use --serve or --server-pid, on Linux";
            return Err(UsageError(problem.into()).into());
        }
        target.check_topics(self.topics as usize)
    }

    fn measure(&self, target: &Target, meter: &mut Meter) -> anyhow::Result<Outcome> {
        let run = Run::new(self.topics, self.target.bytes);
        let mut fleet = Fleet::start(self.subscribers, self.target.processes)?;
        let opened = fleet.open(&target.job(&run, self.subscribers, None).over_http2(target, self.http2))?;
        let (began, cpu) = (Instant::now(), target.processes.cpu());
        thread::sleep(self.hold);
        let cpu = target.processes.cpu().zip(cpu).map(|(after, before)| after.saturating_sub(before));
        let after = target.processes.memory();
        let report = fleet.report()?;
        meter.add(1);

        let connections = f64::from(self.subscribers);
        let mut outcome = Outcome::new();
        outcome.deliveries(&report, 0);
        let grown =
            target.memory_before.zip(after).map(|(before, after)| after.saturating_sub(before) as f64);
        outcome.measure("user_bytes_per_connection", grown.map(|grown| grown / connections));
        let share = cpu.map(|cpu| cpu.as_secs_f64() / began.elapsed().as_secs_f64() * 100.0);
        outcome.measure("idle_cpu_percent", share);
        outcome.measure("connects_per_second", Some(connections / opened.as_secs_f64()));
        outcome.latencies("connect", &report.connect_latencies);
        outcome.reason = report.reason;
        Ok(outcome)
    }
}
