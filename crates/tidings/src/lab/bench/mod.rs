//! `tidings bench`: measures a hub, or any server of event streams, under load.
//!
//! One process publishes and measures. Others, started from the same program, hold the subscribers (`fleet`, `worker`).
//! With `--bound`, the reference server (`server`) is measured in turn with the other one. So the ratio of the two does
//! not depend on the state of the machine at that time.

mod beside;
mod churn;
mod clock;
mod fanout;
mod fleet;
mod histogram;
mod http2;
mod idle;
mod job;
mod load;
mod meter;
mod order;
mod outcome;
mod payload;
mod process;
mod publish;
mod publisher;
mod readers;
mod replay;
mod scan;
mod server;
mod stall;
mod started;
mod target;
mod worker;

use std::io::{Write, stdout};

use anyhow::{Context, bail};
use serde_json::{Value, json};

use self::{
    meter::Meter,
    outcome::{Outcome, Summaries},
    target::Target,
};
use crate::cli::{Bench, BenchScenario, BenchTarget};

pub(crate) async fn run(bench: Bench) -> anyhow::Result<()> {
    // Sockets are read by blocking loops.
    let run = move || match bench.scenario {
        BenchScenario::Fanout(fanout) => measure(&fanout),
        BenchScenario::Idle(idle) => measure(&idle),
        BenchScenario::Replay(replay) => measure(&replay),
        BenchScenario::Churn(churn) => measure(&churn),
        BenchScenario::Stall(stall) => measure(&stall),
        BenchScenario::Publish(publish) => measure(&publish),
        BenchScenario::Server(server) => server::run(&server),
        BenchScenario::Worker => worker::run(),
    };
    tokio::task::spawn_blocking(run).await.context("the measurement broke off")?
}

/// A kind of measurement.
trait Scenario {
    const NAME: &'static str;

    fn flags(&self) -> &BenchTarget;

    /// The parameters, so that figures can be compared.
    fn settings(&self) -> Value;

    /// How many steps of one round are reported to the meter.
    fn steps(&self) -> u64;

    /// Refuses a measurement that is impossible with this server, before it begins.
    fn check(&self, target: &Target) -> anyhow::Result<()>;

    /// Measures one server once.
    fn measure(&self, target: &Target, meter: &mut Meter) -> anyhow::Result<Outcome>;
}

/// Measures all servers in turn, round by round, and prints the medians.
fn measure<S: Scenario>(scenario: &S) -> anyhow::Result<()> {
    let flags = scenario.flags();
    let targets = Target::all(flags)?;
    targets.iter().try_for_each(|target| scenario.check(target))?;
    let mut rounds = vec![Vec::new(); targets.len()];
    let mut meter = Meter::new(S::NAME, scenario.steps() * u64::from(flags.rounds) * targets.len() as u64);
    for _ in 0..flags.rounds {
        for (target, rounds) in targets.iter().zip(&mut rounds) {
            let outcome = scenario.measure(target, &mut meter);
            rounds.push(outcome.with_context(|| format!("cannot measure the {}", target.name))?);
        }
    }
    drop(meter);
    let summaries: Vec<_> =
        targets.iter().zip(&rounds).map(|(target, rounds)| (target.name, Outcome::summary(rounds))).collect();
    tell(scenario, &summaries).context("standard output is closed")?;
    match summaries.iter().find(|(_, outcome)| !outcome.is_faithful) {
        Some((name, outcome)) => match &outcome.reason {
            Some(reason) => {
                bail!("the {name} did not deliver everything once and in order; a stream: {reason}")
            }
            None => bail!("the {name} did not deliver everything once and in order"),
        },
        None => Ok(()),
    }
}

fn tell<S: Scenario>(scenario: &S, summaries: &[(&'static str, Outcome)]) -> std::io::Result<()> {
    let (settings, rounds) = (scenario.settings(), scenario.flags().rounds);
    let summaries = Summaries(summaries);
    let mut out = stdout().lock();
    if scenario.flags().json {
        let mut object = summaries.json();
        object.insert("scenario".into(), S::NAME.into());
        object.insert("settings".into(), settings);
        object.insert("rounds".into(), json!(rounds));
        return writeln!(out, "{}", Value::from(object));
    }
    let settings = settings.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
    let settings: Vec<_> = settings.map(|(name, value)| format!("{name} {value}")).collect();
    writeln!(out, "{}: {}; medians of {rounds}\n{}", S::NAME, settings.join(", "), summaries.table())
}
