//! Measures steady readers, first alone and then together with other clients.

use super::{
    fleet::Fleet,
    load::Load,
    meter::Meter,
    outcome::Outcome,
    target::{Run, Target},
};
use crate::cli::{BenchTarget, PublishForm};

/// Steady readers, and the updates for them in each half.
pub(super) struct Steady<'a> {
    pub(super) subscribers: u32,
    pub(super) events: u32,
    /// How many updates a second.
    pub(super) rate: u32,
    pub(super) flags: &'a BenchTarget,
}

impl Steady<'_> {
    /// Publishes to the steady readers alone, then each time that `beside` calls its argument, which it does once.
    /// Returns the readers' results and the result of `beside`.
    pub(super) fn measure<T>(
        &self,
        target: &Target,
        meter: &mut Meter,
        beside: impl FnOnce(&Run, &mut dyn FnMut() -> anyhow::Result<()>) -> anyhow::Result<T>,
    ) -> anyhow::Result<(Outcome, T)> {
        let run = Run::new(1, self.flags.bytes);
        let mut readers = Fleet::start(self.subscribers, self.flags.processes)?;
        readers.open(&target.job(&run, self.subscribers, None))?;
        let mut load = Load::new(target, &run, PublishForm::Post)?;

        let mut publish = |load: &mut Load, readers: &mut Fleet| -> anyhow::Result<()> {
            load.sweep_at(self.rate, 1, u64::from(self.events), |sent| meter.add(sent))?;
            load.settle()?;
            // Missing updates show in the report.
            readers.reach(load.sweeps(), self.flags.patience).map(drop)
        };
        publish(&mut load, &mut readers)?;
        let alone = readers.report()?;
        readers.forget_latencies()?;
        let found = beside(&run, &mut || publish(&mut load, &mut readers))?;
        load.finish()?;

        let report = readers.report()?;
        let mut outcome = Outcome::new();
        outcome.deliveries(&report, load.sweeps() * u64::from(self.subscribers));
        outcome.latencies("alone", &alone.latencies);
        outcome.latencies("beside", &report.latencies);
        outcome.reason = report.reason;
        Ok((outcome, found))
    }
}
