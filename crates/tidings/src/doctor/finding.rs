//! A finding: the result of a rule.

use crate::cli::Severity;

use super::catalogue;

/// The certainty of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Confidence {
    /// The fault itself was observed, or two requests that differ in one thing show the difference.
    Proved,
    /// The observation fits this fault, but another cause could look the same.
    Consistent,
}

impl Confidence {
    pub(super) fn name(self) -> &'static str {
        match self {
            Confidence::Proved => "proved",
            Confidence::Consistent => "consistent with",
        }
    }
}

/// A fault of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    /// The name of the rule in the catalogue.
    pub(super) rule: &'static str,
    pub(super) severity: Severity,
    pub(super) confidence: Confidence,
    /// The program that causes it, if the response names one.
    pub(super) hop: Option<String>,
    /// The measured values.
    pub(super) measured: String,
    /// The source of the values.
    pub(super) evidence: String,
    /// The name of the fix to show.
    pub(super) fix: &'static str,
}

impl Finding {
    /// A finding of a rule in the catalogue, with the severity and the fix of that rule.
    pub(super) fn of(
        rule: &'static str,
        measured: impl Into<String>,
        evidence: impl Into<String>,
    ) -> Finding {
        let entry = catalogue::rule(rule).expect("a finding is of a rule of the catalogue");
        Finding {
            rule,
            severity: entry.severity,
            confidence: Confidence::Proved,
            hop: None,
            measured: measured.into(),
            evidence: evidence.into(),
            fix: entry.fix,
        }
    }

    pub(super) fn consistent(self) -> Finding {
        Finding { confidence: Confidence::Consistent, ..self }
    }

    pub(super) fn with_fix(self, fix: &'static str) -> Finding {
        Finding { fix, ..self }
    }

    pub(super) fn with_hop(self, hop: Option<String>) -> Finding {
        Finding { hop, ..self }
    }
}
