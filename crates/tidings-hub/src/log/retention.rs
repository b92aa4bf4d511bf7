//! How much a log keeps: of everything, and of some topics.

use std::time::Duration;

use crate::{InvalidTopic, TopicFilter};

/// How much a log keeps; the oldest records are evicted when there is more.
///
/// ```
/// use tidings_hub::log::{Retention, Rule};
///
/// let mut retention = Retention::on_disk();
/// retention.rules.push("news/*=7d,1GiB".parse::<Rule>()?);
/// # Ok::<(), tidings_hub::log::InvalidRule>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retention {
    /// For the whole log. The newest record is always kept: a log goes on from its sequence.
    /// In memory the bytes are those of all that the log holds: the records, with their keys, the tables that find them, and what is
    /// remembered of those that are gone.
    pub limits: Limits,
    /// For some topics, within the limits of the whole log. A record counts under the most specific rule that its first
    /// topic matches. A close is kept as long as the limits of the whole log allow, since it still has to be told.
    pub rules: Vec<Rule>,
    /// How many closed topics are remembered after their records are gone, and for how many topics it is known when
    /// their last record went (the longest gone are forgotten, and count as gone with the last of those). In memory the
    /// closes take at most an eighth of the limit in bytes, and so do the topics. Default: 65,536.
    pub topics: u64,
    /// For how many IDs and idempotency keys that publishers chose it is remembered, once their updates are evicted, which
    /// updates they named: an update that is sent again is not published twice, another one with the same ID or key is
    /// refused, and a subscriber that comes back with the ID keeps its place. An ID counts once for each topic of its
    /// update. The longest gone are forgotten; publishers that need more leave the IDs to the hub, which never gives one
    /// twice. In memory each takes some 350 bytes and its text, and all together
    /// at most an eighth of the limit in bytes. Default: 65,536.
    pub names: u64,
}

impl Retention {
    /// The default for a log in memory: up to 1,000,000 records and 256 MiB.
    pub fn in_memory() -> Retention {
        let limits = Limits { records: 1_000_000, bytes: 256 << 20, age: None };
        Retention { limits, rules: Vec::new(), topics: 65_536, names: 65_536 }
    }

    /// The default for a log on disk: up to 8 GiB.
    pub fn on_disk() -> Retention {
        let limits = Limits { bytes: 8 << 30, ..Limits::default() };
        Retention { limits, rules: Vec::new(), topics: 65_536, names: 65_536 }
    }

    /// How much is kept, for people: `up to 8192 MiB, less of news/*, *`.
    pub(crate) fn describe(&self) -> String {
        let Limits { bytes, records, .. } = self.limits;
        let mut parts = vec![format!("up to {} MiB", bytes >> 20)];
        if records < u64::MAX {
            parts.push(format!("{records} updates"));
        }
        let rules = self.rules.iter().map(|rule| rule.filter.to_string()).collect::<Vec<_>>();
        if !rules.is_empty() {
            parts.push(format!("less of {}", rules.join(", ")));
        }
        parts.join(", ")
    }

    /// Whether time alone can make a record go.
    pub(crate) fn has_age(&self) -> bool {
        self.limits.age.is_some() || self.rules.iter().any(|rule| rule.limits.age.is_some())
    }
}

/// How much is kept of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// For how long. `None`, the default, is for as long as the other limits allow.
    pub age: Option<Duration>,
    /// The most records. Default: no limit.
    pub records: u64,
    /// The most bytes, structures included (an estimate: see [`Record::cost`](super::Record::cost)). Default: no limit.
    pub bytes: u64,
}

impl Limits {
    /// The time before which records have outlived their age, if it is `now`; both in milliseconds since 1970.
    pub(crate) fn expired_before(&self, now: u64) -> u64 {
        self.age_ms().map_or(0, |age| now.saturating_sub(age))
    }

    /// The age in milliseconds.
    pub(crate) fn age_ms(&self) -> Option<u64> {
        self.age.map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX))
    }
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { age: None, records: u64::MAX, bytes: u64::MAX }
    }
}

/// How much is kept of the topics that a filter matches.
///
/// As text: the filter, `=`, and limits joined by commas: `news/*=7d`, `logs=1000,64MiB`. A number is one of records, with a
/// unit of [`parse_bytes`] it is one of bytes (`64MiB` or `64M`), and anything else is a time such as `90s`, `12h`, `7d`,
/// `1h 30m` or `6months`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The topics.
    pub filter: TopicFilter,
    /// How much is kept of all of them together.
    pub limits: Limits,
}

/// A text that is no [`Rule`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidRule {
    /// There is no `=`.
    #[error("{text:?} has no '='; write a topic or a pattern, '=' and limits, such as 'news/*=7d'")]
    NoLimits {
        /// The whole rule.
        text: String,
    },
    /// The text before the `=` is neither a topic nor a pattern.
    #[error(transparent)]
    Filter(#[from] InvalidTopic),
    /// A limit that is no number, no size and no time.
    #[error(
        "{text:?} is not a limit; use a count (1000), a size (64MiB or 64M) or an age (30m, 7d, 6months)"
    )]
    Limit {
        /// The limit.
        text: String,
    },
    /// A limit that is given twice in the same rule.
    #[error(
        "limit {text:?} is the second of its kind in its rule; give at most one count, one size and one age"
    )]
    Twice {
        /// The second limit.
        text: String,
    },
}

impl std::str::FromStr for Rule {
    type Err = InvalidRule;

    fn from_str(text: &str) -> Result<Rule, InvalidRule> {
        // A topic may contain '=', a limit cannot.
        let (filter, list) =
            text.rsplit_once('=').ok_or_else(|| InvalidRule::NoLimits { text: text.into() })?;
        let filter = TopicFilter::parse(filter)?;
        let mut limits = Limits::default();
        for limit in list.split(',').map(str::trim) {
            let text = || limit.to_owned();
            let twice = if let Ok(records) = limit.parse() {
                std::mem::replace(&mut limits.records, records) != u64::MAX
            } else if let Ok(bytes) = parse_bytes(limit) {
                // Before times: 64M is 64 MiB, as everywhere, and not 64 months.
                std::mem::replace(&mut limits.bytes, bytes) != u64::MAX
            } else if let Ok(age) = humantime::parse_duration(limit) {
                limits.age.replace(age).is_some()
            } else {
                return Err(InvalidRule::Limit { text: text() });
            };
            if twice {
                return Err(InvalidRule::Twice { text: text() });
            }
        }
        Ok(Rule { filter, limits })
    }
}

/// Reads a number of bytes, with or without a binary unit: `1024`, `64KiB`, `256MiB`, `1GiB`, `2TiB`, or shorter `64K`, `256M`,
/// `1G`, `2T`.
///
/// # Errors
///
/// The mistake in the text, as the end of a sentence that names the text.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|character: char| character.is_ascii_alphabetic());
    let factor = match &text[digits.len()..] {
        "" | "B" => 1,
        "KiB" | "K" => 1 << 10,
        "MiB" | "M" => 1 << 20,
        "GiB" | "G" => 1 << 30,
        "TiB" | "T" => 1 << 40,
        unit => return Err(format!("unit {unit:?} is not known; use KiB, MiB, GiB or TiB, or K, M, G or T")),
    };
    let number: u64 = digits.parse().map_err(|_| {
        "use a whole number of at most 2^64 - 1, with or without a unit, such as 256MiB".to_owned()
    })?;
    number.checked_mul(factor).ok_or_else(|| "it is more than can be counted".to_owned())
}

/// The amounts that are kept under one set of limits, and whether they are too much.
///
/// Once a limit is passed, everything is evicted down to a little under it, so that a full log does not evict a record
/// for each that it takes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Totals {
    /// How many records.
    pub(crate) records: u64,
    /// Their cost ([`Record::cost`](super::Record::cost)).
    pub(crate) bytes: u64,
    shrinking: bool,
}

impl Totals {
    pub(crate) fn of(records: u64, bytes: u64) -> Totals {
        Totals { records, bytes, shrinking: false }
    }

    pub(crate) fn add(&mut self, bytes: u64) {
        self.records += 1;
        self.bytes += bytes;
    }

    pub(crate) fn remove(&mut self, bytes: u64) {
        self.records = self.records.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    /// Whether a limit is passed, or was and is not yet come under by enough.
    pub(crate) fn is_over(&self, limits: &Limits) -> bool {
        self.clone().is_too_much(limits)
    }

    /// Whether another record has to go for its number or its size.
    pub(crate) fn is_too_much(&mut self, limits: &Limits) -> bool {
        let slack = |limit: u64| if self.shrinking { limit - limit / 128 } else { limit };
        self.shrinking = self.records > slack(limits.records) || self.bytes > slack(limits.bytes);
        self.shrinking
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(text: &str) -> Rule {
        text.parse().unwrap()
    }

    #[test]
    fn a_rule_is_a_filter_and_limits() {
        let week = Duration::from_secs(7 * 24 * 3600);
        let limits = Limits { age: Some(week), ..Limits::default() };
        assert_eq!(rule("news/*=7d"), Rule { filter: TopicFilter::parse("news/*").unwrap(), limits });
        assert_eq!(rule("a=b=1000").filter, TopicFilter::parse("a=b").unwrap());
        assert_eq!(rule("a=1000").limits, Limits { records: 1000, ..Limits::default() });
        for (size, time) in [("64K", "64s"), ("64M", "64m"), ("2G", "2months"), ("1T", "1h")] {
            let limits = rule(&format!("a={size},{time}")).limits;
            assert_eq!(
                (limits.bytes, limits.age),
                (parse_bytes(size).unwrap(), humantime::parse_duration(time).ok())
            );
        }
        let all = Limits { age: Some(Duration::from_secs(5400)), records: 5, bytes: 64 << 20 };
        assert_eq!(rule("a=64MiB, 1h 30m,5").limits, all);
    }

    #[test]
    fn what_is_no_rule_is_refused() {
        assert_eq!("a".parse::<Rule>(), Err(InvalidRule::NoLimits { text: "a".into() }));
        assert!(matches!("a*=1d".parse::<Rule>(), Err(InvalidRule::Filter(_))));
        for limit in
            ["", "x", "-1", "1.5GiB", "7", "99999999999999GiB"].map(|limit| (limit, format!("a={limit}")))
        {
            let parsed = limit.1.parse::<Rule>();
            match limit.0 {
                "7" => assert!(parsed.is_ok()),
                text => assert_eq!(parsed, Err(InvalidRule::Limit { text: text.into() })),
            }
        }
        assert_eq!("a=1d,2d".parse::<Rule>(), Err(InvalidRule::Twice { text: "2d".into() }));
    }

    #[test]
    fn bytes_have_binary_units() {
        assert_eq!(parse_bytes("17"), Ok(17));
        assert_eq!(parse_bytes("2KiB"), Ok(2048));
        assert_eq!(parse_bytes("1GiB"), Ok(1 << 30));
        assert_eq!(
            ["3K", "3M", "3G", "3T", "3TiB"].map(parse_bytes),
            [10, 20, 30, 40, 40].map(|bits| Ok(3 << bits))
        );
        for text in ["", "MiB", "1.5MiB", "-1", "1 MiB", "1MB", "1m", "1k", "99999999999999GiB"] {
            assert!(parse_bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_full_log_shrinks_a_little_below_its_limit() {
        let limits = Limits { records: 1280, ..Limits::default() };
        let mut kept = Totals { records: 1280, ..Totals::default() };
        assert!(!kept.is_too_much(&limits));
        kept.add(1);
        while kept.is_too_much(&limits) {
            kept.remove(1);
        }
        assert_eq!(kept.records, 1270);
    }
}
