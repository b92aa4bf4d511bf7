//! The report of an examination, in each supported format.

mod json;
mod junit;
mod sarif;
mod text;

use std::io::Write;

use serde_json::{Map, Value};

use super::{case::Case, catalogue, finding::Finding};
use crate::{
    cli::{ReportForm, Severity},
    terminal::{on_stdout, say as say_on_stderr},
};

pub(super) use self::text::explain;

/// The contents of a report.
#[derive(Clone, Copy, Debug)]
pub(super) struct Report<'a> {
    /// The stream's URL, as given on the command line.
    pub(super) url: &'a str,
    pub(super) case: &'a Case,
    /// The findings, the worst first.
    pub(super) findings: &'a [Finding],
    pub(super) numbers: &'a Map<String, Value>,
    /// The lowest severity that counts as a failure.
    pub(super) fail_on: Severity,
}

impl Report<'_> {
    /// Prints it to standard output.
    pub(super) fn print(&self, form: ReportForm) {
        say(&match form {
            ReportForm::Text => text::report(self),
            ReportForm::Json => json::report(self),
            ReportForm::Junit => junit::report(self),
            ReportForm::Sarif => sarif::report(self),
        });
    }
}

/// Reports that the server could not be reached.
pub(super) fn unreachable(url: &str, reason: &str, form: ReportForm) {
    match form {
        ReportForm::Text => say_on_stderr(text::unreachable(url, reason).trim_end()),
        ReportForm::Json => say(&json::unreachable(url, reason)),
        ReportForm::Junit => say(&junit::unreachable(url, reason)),
        ReportForm::Sarif => say(&sarif::unreachable(url, reason)),
    }
}

/// Writes to standard output. A closed pipe, as with `head`, is not an error.
pub(super) fn say(text: &str) {
    let _ = std::io::stdout().write_all(on_stdout(text).as_bytes());
}

/// The title of a finding's rule.
fn title(finding: &Finding) -> &'static str {
    catalogue::rule(finding.rule).map_or("", |rule| rule.title)
}

#[cfg(test)]
mod made {
    //! A report made by hand.

    use super::*;
    use crate::doctor::{
        case::{
            Role,
            made::{self, probe},
        },
        numbers::numbers,
        rules::judge,
    };

    /// Calls a function with the report on a stream that nginx holds back.
    pub(super) fn held_by_nginx<T>(look: impl FnOnce(&Report<'_>) -> T) -> T {
        let mut held = probe(|_, _| 1500);
        held.head.as_mut().unwrap().headers.insert("server", "nginx/1.22.1".parse().unwrap());
        let mut case = made::case("http://localhost/events", vec![(Role::Probe, held)]);
        case.not_measured.push(("HTTP/3", "no Alt-Svc header offers it".into()));
        let findings = judge(&case);
        let numbers = numbers(&case, &findings);
        look(&Report {
            url: "http://localhost/events",
            case: &case,
            findings: &findings,
            numbers: &numbers,
            fail_on: Severity::S2,
        })
    }
}
