//! What a rule finds.

use crate::cli::Severity;

use super::catalogue;

/// How sure a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Confidence {
    /// It was seen itself, or two requests that differ in one thing differ in this.
    Proved,
    /// What was seen looks like it, and something else could look the same.
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

/// Something that is wrong with a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    /// Its name in the catalogue.
    pub(super) rule: &'static str,
    pub(super) severity: Severity,
    pub(super) confidence: Confidence,
    /// Who does it, as far as the answer says.
    pub(super) hop: Option<String>,
    /// The numbers.
    pub(super) measured: String,
    /// What the numbers are from.
    pub(super) evidence: String,
    /// The name of the text that says what to change.
    pub(super) fix: &'static str,
}

impl Finding {
    /// A finding of a rule of the catalogue, with the severity and the fix that it has there.
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
