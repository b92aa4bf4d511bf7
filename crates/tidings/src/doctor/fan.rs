//! The result of many requests at the same time.

use std::{collections::BTreeSet, time::Duration};

/// After this long without an answer, the remaining requests wait for others to end. A slow server still answers some.
const STILL: Duration = Duration::from_millis(700);

/// Requests that were sent at the same time, and kept open after their answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Fan {
    pub(super) asked: usize,
    /// The number of answers with 200.
    pub(super) answered: usize,
    /// The statuses of the refusals; `None` for a request that broke.
    pub(super) refused: Vec<Option<u16>>,
    /// The time of the last answer.
    pub(super) last: Duration,
    /// The time at which the wait ended.
    pub(super) ended: Duration,
}

impl Fan {
    /// How many requests are answered at the same time, if not all are. `None` also if nothing was answered, or if
    /// answers were still arriving: that is another fault, or a slow server.
    pub(super) fn cap(&self) -> Option<usize> {
        let is_settled = self.waiting() == 0 || self.ended.saturating_sub(self.last) >= STILL;
        (self.answered > 0 && self.answered < self.asked && is_settled).then_some(self.answered)
    }

    /// The number of requests without an answer.
    fn waiting(&self) -> usize {
        self.asked.saturating_sub(self.answered + self.refused.len())
    }

    /// The number, for people and programs: `"120+"` if all were answered.
    pub(super) fn number(&self) -> Option<String> {
        if self.answered == self.asked {
            return Some(format!("{}+", self.asked));
        }
        self.cap().map(|cap| cap.to_string())
    }

    /// "4 of 7 at a time are answered, 2 wait, 1 is refused (503)".
    pub(super) fn shown(&self) -> String {
        let mut shown = format!("{} of {} at a time are answered", self.answered, self.asked);
        if self.waiting() > 0 {
            shown.push_str(&format!(", {} wait", self.waiting()));
        }
        if !self.refused.is_empty() {
            let statuses: BTreeSet<_> = self.refused.iter().flatten().map(u16::to_string).collect();
            let how =
                if statuses.is_empty() { "broken off".into() } else { Vec::from_iter(statuses).join(", ") };
            shown.push_str(&format!(", {} are refused ({how})", self.refused.len()));
        }
        shown
    }
}

#[cfg(test)]
pub(super) mod made {
    use super::*;

    /// Seven requests with these numbers of answers and refusals, the last of them this long before the end.
    pub(in crate::doctor) fn seven(answered: usize, refused: usize, silence: u64) -> Fan {
        let ended = Duration::from_millis(1500);
        let last = ended.saturating_sub(Duration::from_millis(silence));
        Fan { asked: 7, answered, refused: vec![Some(503); refused], last, ended }
    }
}

#[cfg(test)]
mod tests {
    use super::{made::seven, *};

    #[test]
    fn all_that_are_answered_are_no_cap() {
        assert_eq!((seven(7, 0, 0).cap(), seven(7, 0, 0).number().as_deref()), (None, Some("7+")));
    }

    #[test]
    fn requests_that_wait_or_are_refused_are_a_cap() {
        let waiting = seven(4, 0, 1400);
        assert_eq!((waiting.cap(), waiting.number().as_deref()), (Some(4), Some("4")));
        assert_eq!(waiting.shown(), "4 of 7 at a time are answered, 3 wait");
        let refused = seven(4, 3, 0);
        assert_eq!(refused.cap(), Some(4));
        assert_eq!(refused.shown(), "4 of 7 at a time are answered, 3 are refused (503)");
        let broken = Fan { refused: vec![None; 2], ..seven(4, 0, 1400) };
        assert_eq!(broken.shown(), "4 of 7 at a time are answered, 1 wait, 2 are refused (broken off)");
    }

    #[test]
    fn a_server_that_is_slow_or_answers_nothing_has_no_known_cap() {
        assert_eq!((seven(4, 0, 300).cap(), seven(4, 0, 300).number()), (None, None));
        assert_eq!(seven(0, 0, 1500).cap(), None);
        assert_eq!(seven(0, 7, 1500).cap(), None);
    }
}
