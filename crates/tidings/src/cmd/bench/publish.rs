//! Publishing without subscribers.

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

/// Updates that are handed over together, where that is possible.
const BATCH: u64 = 100;

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
            if *way == PublishWay::Single {
                outcome.latencies(&name, &latencies);
            }
        }
        Ok(outcome)
    }
}

impl BenchPublish {
    /// Publishes all updates one way; every one of them is answered when it returns.
    fn publish(&self, way: PublishWay, target: &Target, meter: &mut Meter) -> anyhow::Result<Histogram> {
        let form = match way {
            PublishWay::Single | PublishWay::Pipelined => PublishForm::Post,
            PublishWay::Ndjson => PublishForm::Ndjson,
            PublishWay::EventStream => PublishForm::EventStream,
        };
        let batch = if way == PublishWay::Single { 1 } else { BATCH };
        let mut load = Load::new(target, &Run::new(1, self.target.bytes), form)?;
        let mut latencies = Histogram::default();
        while load.sweeps() < u64::from(self.events) {
            let sweeps = batch.min(u64::from(self.events) - load.sweeps());
            let began = Instant::now();
            load.sweep(sweeps)?;
            if way == PublishWay::Single {
                load.settle()?;
                latencies.record(nanoseconds(began.elapsed()));
            }
            meter.add(sweeps);
        }
        load.finish()?;
        Ok(latencies)
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
