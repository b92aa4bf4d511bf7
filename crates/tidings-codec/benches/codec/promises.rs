//! The ratios that this crate promises, compared with the measured ones.

use crate::contenders::{AXUM, BOUND, EVENTSOURCE_STREAM, SSE_CORE, TIDINGS, TIDINGS_BUILT};
use crate::measure::Measured;
use crate::workloads::{
    ENCODE_ONE_LINE, LLM_TOKENS, LONG_LINES, LONG_LINES_SPLIT, ONE_LINE, ONE_LINE_TWICE, TINY_EVENTS,
};

/// Prints each promise with its figure; `false` if one is broken or was not measured.
pub(crate) fn hold(decoding: &[Measured], encoding: &[Measured]) -> bool {
    let mut all_hold = true;
    let mut check = |what: String, figure: Option<f64>, holds: fn(f64, f64) -> bool, bar: f64| {
        let holds = figure.is_some_and(|figure| holds(figure, bar));
        let figure = figure.map_or("not measured".to_owned(), |figure| format!("{figure:.2}"));
        println!("{} {what}: {figure}, promised {bar}", if holds { "ok    " } else { "BROKEN" });
        all_hold &= holds;
    };
    let at_least = |figure: f64, bar: f64| figure >= bar;
    let at_most = |figure: f64, bar: f64| figure <= bar;

    for (workload, peer, bar) in [
        (LLM_TOKENS, BOUND, 0.40),
        (LONG_LINES, BOUND, 0.50),
        (LLM_TOKENS, SSE_CORE, 1.25),
        (TINY_EVENTS, SSE_CORE, 3.0),
        (LONG_LINES, SSE_CORE, 1.0),
        (LONG_LINES_SPLIT, SSE_CORE, 1.0),
        (LLM_TOKENS, EVENTSOURCE_STREAM, 9.0),
    ] {
        let ratio = find(decoding, workload).and_then(|w| w.ratio(TIDINGS, peer));
        check(format!("{workload}: times the speed of {peer}"), ratio, at_least, bar);
    }
    for workload in [LLM_TOKENS, TINY_EVENTS] {
        let allocations = find(decoding, workload).and_then(|w| allocations(w, TIDINGS));
        check(format!("{workload}: allocations per event"), allocations, at_most, 0.0);
    }
    let time = |workload| row(find(decoding, workload)?, TIDINGS).map(|row| row.ns_per_event);
    let growth = time(ONE_LINE_TWICE).zip(time(ONE_LINE)).map(|(twice, once)| twice / once);
    check("4 MiB of one line: times the time of 2 MiB".to_owned(), growth, at_most, 2.5);

    let one_line = find(encoding, ENCODE_ONE_LINE);
    check(
        format!("encoding {ENCODE_ONE_LINE}: allocations per event"),
        one_line.and_then(|w| allocations(w, TIDINGS)),
        at_most,
        0.0,
    );
    for name in [TIDINGS, TIDINGS_BUILT] {
        check(
            format!("encoding {ENCODE_ONE_LINE}: {name}: times the speed of {AXUM}"),
            one_line.and_then(|w| w.ratio(name, AXUM)),
            at_least,
            1.0,
        );
    }
    all_hold
}

fn find<'m>(measured: &'m [Measured], workload: &str) -> Option<&'m Measured> {
    measured.iter().find(|m| m.workload == workload)
}

fn row<'m>(measured: &'m Measured, name: &str) -> Option<&'m crate::measure::Row> {
    measured.rows.iter().find(|row| row.name == name)
}

fn allocations(measured: &Measured, name: &str) -> Option<f64> {
    row(measured, name).map(|row| row.allocations_per_event)
}
