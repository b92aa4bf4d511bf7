//! The results of a measurement, and their presentation.

use std::{fmt::Write, time::Duration};

use serde_json::{Map, Value, json};

use super::{histogram::Histogram, job::Report};

/// The figures of one round, in the order of presentation.
#[derive(Debug, Clone, Default)]
pub(super) struct Outcome {
    figures: Vec<Figure>,
    /// Whether every subscriber got its updates once and in order.
    pub(super) is_faithful: bool,
    /// The reason for the end of the first stream that ended.
    pub(super) reason: Option<String>,
}

#[derive(Debug, Clone)]
struct Figure {
    /// The name with its unit: `latency_p50_us`.
    name: String,
    value: f64,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The rounds are added up, so that no fault is hidden.
    Count,
    /// The median of the rounds.
    Measure,
}

impl Outcome {
    pub(super) fn new() -> Outcome {
        Outcome { figures: Vec::new(), is_faithful: true, reason: None }
    }

    pub(super) fn count(&mut self, name: &str, value: u64) {
        self.figures.push(Figure { name: name.into(), value: value as f64, kind: Kind::Count });
    }

    /// Adds a figure, if it is known.
    pub(super) fn measure(&mut self, name: impl Into<String>, value: Option<f64>) {
        let value = value.filter(|value| value.is_finite());
        self.figures.extend(value.map(|value| Figure { name: name.into(), value, kind: Kind::Measure }));
    }

    /// Adds the deliveries to subscribers, out of `expected` updates.
    pub(super) fn deliveries(&mut self, report: &Report, expected: u64) {
        let tally = report.tally;
        let lost = expected.saturating_sub(tally.delivered);
        self.count("delivered", tally.delivered);
        let faults = [
            ("lost", lost),
            ("duplicated", tally.duplicated),
            ("reordered", tally.reordered),
            ("disconnected", report.disconnected),
        ];
        for (name, value) in faults {
            self.count(name, value);
            self.is_faithful &= value == 0;
        }
    }

    /// Adds the usual quantiles of `latencies`, named with `prefix`.
    pub(super) fn latencies(&mut self, prefix: &str, latencies: &Histogram) {
        let microseconds = |value: Option<u64>| value.map(|value| value as f64 / 1e3);
        for (name, share) in [("p50", 0.5), ("p99", 0.99), ("p999", 0.999)] {
            self.measure(format!("{prefix}_{name}_us"), microseconds(latencies.quantile(share)));
        }
        self.measure(format!("{prefix}_max_us"), microseconds(latencies.max()));
    }

    /// The value of each figure over several rounds of one server.
    pub(super) fn summary(rounds: &[Outcome]) -> Outcome {
        let Some(first) = rounds.first() else { return Outcome::new() };
        let figures = first.figures.iter().map(|figure| {
            let values = rounds.iter().filter_map(|round| round.value(&figure.name));
            let value = match figure.kind {
                Kind::Count => values.sum(),
                Kind::Measure => median(values.collect()),
            };
            Figure { value, ..figure.clone() }
        });
        Outcome {
            figures: figures.collect(),
            is_faithful: rounds.iter().all(|round| round.is_faithful),
            reason: rounds.iter().find_map(|round| round.reason.clone()),
        }
    }

    fn value(&self, name: &str) -> Option<f64> {
        self.figures.iter().find(|figure| figure.name == name).map(|figure| figure.value)
    }
}

/// The servers' summaries, by their names. If there are two, the first is compared with the last.
pub(super) struct Summaries<'a>(pub(super) &'a [(&'static str, Outcome)]);

impl Summaries<'_> {
    pub(super) fn json(&self) -> Map<String, Value> {
        let mut object = Map::new();
        for (name, outcome) in self.0 {
            let figures =
                outcome.figures.iter().map(|figure| (figure.name.clone(), json!(round(figure.value))));
            object.insert((*name).into(), figures.collect::<Map<_, _>>().into());
        }
        let ratios: Map<_, _> =
            self.ratios().map(|(name, ratio)| (name.into(), json!(round(ratio)))).collect();
        if !ratios.is_empty() {
            object.insert("ratio".into(), ratios.into());
        }
        object
    }

    pub(super) fn table(&self) -> String {
        let mut table = format!("{:26}", "");
        for (name, _) in self.0 {
            let _ = write!(table, "{name:>14}");
        }
        let ratios: Vec<_> = self.ratios().collect();
        table.push_str(if ratios.is_empty() { "\n" } else { "         ratio\n" });
        let Some((_, first)) = self.0.first() else { return table };
        for figure in &first.figures {
            let _ = write!(table, "{:26}", figure.name.replace('_', " "));
            for (_, outcome) in self.0 {
                let value = outcome.value(&figure.name).map(|value| readable(value, figure.kind));
                let _ = write!(table, "{:>14}", value.unwrap_or_default());
            }
            if let Some((_, ratio)) = ratios.iter().find(|(name, _)| *name == figure.name) {
                let _ = write!(table, "{ratio:>14.2}");
            }
            table.push('\n');
        }
        table
    }

    fn ratios(&self) -> impl Iterator<Item = (&str, f64)> {
        let pair = if let [(_, first), (_, second)] = self.0 { Some((first, second)) } else { None };
        pair.into_iter().flat_map(|(first, second)| {
            first.figures.iter().filter(|figure| figure.kind == Kind::Measure).filter_map(|figure| {
                let bound = second.value(&figure.name).filter(|bound| *bound > 0.0)?;
                Some((&*figure.name, figure.value / bound))
            })
        })
    }
}

/// `time` per item of `count`, in microseconds.
pub(super) fn microseconds_each(time: Option<Duration>, count: u64) -> Option<f64> {
    time.map(|time| time.as_secs_f64() * 1e6 / count as f64)
}

/// The middle value, or the mean of the two in the middle. 0 without values.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        count if count % 2 == 1 => values[count / 2],
        count => (values[count / 2 - 1] + values[count / 2]) / 2.0,
    }
}

/// Rounds to four decimal places, which is more than any measurement gives.
fn round(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

fn readable(value: f64, kind: Kind) -> String {
    match kind {
        Kind::Count => format!("{value:.0}"),
        Kind::Measure if value >= 100.0 => format!("{value:.0}"),
        Kind::Measure if value >= 10.0 => format!("{value:.1}"),
        Kind::Measure => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(lost: u64, cpu: f64) -> Outcome {
        let mut outcome = Outcome::new();
        outcome.count("lost", lost);
        outcome.measure("cpu_us", Some(cpu));
        outcome.measure("unknown", None);
        outcome
    }

    #[test]
    fn faults_add_up_and_measures_have_medians() {
        let server = Outcome::summary(&[outcome(0, 9.0), outcome(2, 3.0), outcome(0, 3.5)]);
        let bound = Outcome::summary(&[outcome(0, 1.0), outcome(0, 2.5)]);
        let summaries = [("server", server), ("bound", bound)];
        let json = Value::from(Summaries(&summaries).json());
        assert_eq!(json["server"], json!({ "lost": 2.0, "cpu_us": 3.5 }));
        assert_eq!(json["bound"], json!({ "lost": 0.0, "cpu_us": 1.75 }));
        assert_eq!(json["ratio"], json!({ "cpu_us": 2.0 }));
        let table = Summaries(&summaries).table();
        assert!(table.lines().any(|line| line.ends_with("2.00") && line.starts_with("cpu us")), "{table}");
    }
}
