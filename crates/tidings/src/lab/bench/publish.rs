//! Measures publishing without subscribers.

use std::time::{Duration, Instant};

use clap::ValueEnum;
use serde_json::{Value, json};

use super::{
    Scenario,
    histogram::Histogram,
    load::Load,
    meter::Meter,
    outcome::{Outcome, microseconds_each},
    target::{Run, Target},
};
use crate::cli::{BenchPublish, BenchTarget, PublishForm, PublishWay};

/// How many updates are sent together, for ways that allow it.
const BATCH: u64 = 100;

/// How many connections publish at the same time, for ways that use several.
const CONNECTIONS: usize = 32;

impl Scenario for BenchPublish {
    const NAME: &'static str = "publish";

    fn flags(&self) -> &BenchTarget {
        &self.target
    }

    fn settings(&self) -> Value {
        json!({ "events": self.events, "bytes": self.target.bytes })
    }

    fn steps(&self) -> u64 {
        u64::from(self.events) * self.ways.len() as u64
    }

    fn check(&self, _: &Target) -> anyhow::Result<()> {
        Ok(())
    }

    fn measure(&self, target: &Target, meter: &mut Meter) -> anyhow::Result<Outcome> {
        let mut outcome = Outcome::new();
        for way in &self.ways {
            let name =
                way.to_possible_value().map(|value| value.get_name().replace('-', "_")).unwrap_or_default();
            let (cpu, began) = (target.processes.cpu(), Instant::now());
            let latencies = self.publish(*way, target, meter)?;
            let took = began.elapsed();
            let cpu = target.processes.cpu().zip(cpu).map(|(after, before)| after.saturating_sub(before));
            outcome.measure(format!("{name}_per_second"), Some(f64::from(self.events) / took.as_secs_f64()));
            outcome.measure(format!("{name}_cpu_us"), microseconds_each(cpu, u64::from(self.events)));
            if way.waits() {
                outcome.latencies(&name, &latencies);
            }
        }
        Ok(outcome)
    }
}

impl BenchPublish {
    /// Publishes all updates one way. When it returns, all of them are answered.
    fn publish(&self, way: PublishWay, target: &Target, meter: &mut Meter) -> anyhow::Result<Histogram> {
        let (form, connections) = match way {
            PublishWay::Single | PublishWay::Pipelined => (PublishForm::Post, 1),
            PublishWay::Concurrent => (PublishForm::Post, CONNECTIONS),
            PublishWay::Ndjson => (PublishForm::Ndjson, 1),
            PublishWay::EventStream => (PublishForm::EventStream, 1),
        };
        let batch = if way.waits() { 1 } else { BATCH };
        let run = Run::new(1, self.target.bytes);
        let loads = (0..connections).map(|_| Load::new(target, &run, form));
        let mut loads = loads.collect::<anyhow::Result<Vec<_>>>()?;
        let (mut left, mut latencies) = (u64::from(self.events), Histogram::default());
        while left > 0 {
            let mut sent = Vec::with_capacity(connections);
            for load in &mut loads {
                let updates = batch.min(left);
                if updates == 0 {
                    break;
                }
                left -= updates;
                sent.push((updates, Instant::now()));
                load.sweep(updates)?;
            }
            for (load, (updates, at)) in loads.iter_mut().zip(sent) {
                if way.waits() {
                    load.settle()?;
                    latencies.record(nanoseconds(at.elapsed()));
                }
                meter.add(updates);
            }
        }
        loads.iter_mut().try_for_each(Load::finish)?;
        Ok(latencies)
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
