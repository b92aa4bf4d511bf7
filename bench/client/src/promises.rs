//! What tidings-client promises, held against what was measured.

use crate::contenders::{EVENT_SOURCE, EVENT_STREAM, EVENTSOURCE_CLIENT, REQWEST_EVENTSOURCE};
use crate::measure::{Measured, Row};
use crate::workloads::BURST;

const NANOS_PER_EVENT: f64 = 2_000.0;

/// Prints each promise with its figure; `false` if one is broken or was not measured.
pub(crate) fn hold(measured: &[Measured]) -> bool {
    let mut all_hold = true;
    let mut check = |what: String, figure: Option<f64>, bar: Option<f64>| {
        let holds = figure.zip(bar).is_some_and(|(figure, bar)| figure < bar);
        let shown =
            |value: Option<f64>| value.map_or("not measured".to_owned(), |value| format!("{value:.0} ns"));
        println!(
            "{} {what}: {}, less than {}",
            if holds { "ok    " } else { "BROKEN" },
            shown(figure),
            shown(bar)
        );
        all_hold &= holds;
    };

    for measured in measured {
        for own in [EVENT_STREAM, EVENT_SOURCE] {
            let row = measured.row(own);
            let promised = format!("{own}, {}", measured.workload);
            let overhead = row.and_then(|row| row.overhead);
            check(format!("{promised}: above the bound"), overhead, Some(NANOS_PER_EVENT));
            // Where each event is a read of its own, waking up takes several times as long as all that a client does, and
            // varies by more than clients differ.
            if measured.workload == BURST {
                check(format!("{promised}: all in all"), row.map(cpu), Some(NANOS_PER_EVENT));
                for rival in [REQWEST_EVENTSOURCE, EVENTSOURCE_CLIENT] {
                    check(format!("{promised}: beside {rival}"), row.map(cpu), measured.row(rival).map(cpu));
                }
            }
        }
    }
    all_hold
}

fn cpu(row: &Row) -> f64 {
    row.cpu
}
