//! Which rule of a retention a record counts under.

use std::{collections::HashMap, ops::Deref};

use super::Retention;
use crate::{
    Topic, TopicFilter,
    model::{topic::Prefix, topic_map::TopicMap},
};

/// A retention with its rules by what they match: a look-up costs little however many there are.
#[derive(Debug)]
pub(crate) struct Rules {
    retention: Retention,
    of_topics: TopicMap<usize>,
    /// In the order of their texts.
    of_prefixes: Vec<OfPrefix>,
    of_all: Option<usize>,
    has_age: bool,
}

/// The rule of a pattern `prefix/*`.
#[derive(Debug)]
struct OfPrefix {
    prefix: Prefix,
    rule: usize,
    /// Where the longest of the other prefixes is that this one begins with.
    within: Option<usize>,
}

impl From<Retention> for Rules {
    /// Of rules with the same filter the last one counts, and the others are left out.
    fn from(mut retention: Retention) -> Rules {
        let last: HashMap<_, _> = retention.rules.iter().map(|rule| rule.filter.clone()).zip(0..).collect();
        let mut number = 0..;
        retention.rules.retain(|rule| last.get(&rule.filter).copied() == number.next());
        let (mut of_topics, mut of_all) = (TopicMap::default(), None);
        let mut prefixes = Vec::new();
        for (number, rule) in retention.rules.iter().enumerate() {
            match &rule.filter {
                TopicFilter::Exact(topic) => drop(of_topics.insert(topic.clone(), number)),
                TopicFilter::Below(prefix) => prefixes.push((prefix.clone(), number)),
                TopicFilter::All => of_all = Some(number),
            }
        }
        prefixes.sort_by(|(one, _), (other, _)| one.as_str().cmp(other.as_str()));
        let mut of_prefixes: Vec<OfPrefix> = Vec::with_capacity(prefixes.len());
        for (prefix, rule) in prefixes {
            let last = of_prefixes.len().checked_sub(1);
            let within = covering(&of_prefixes, last, prefix.as_str());
            of_prefixes.push(OfPrefix { prefix, rule, within });
        }
        Rules { has_age: retention.has_age(), retention, of_topics, of_prefixes, of_all }
    }
}

impl Deref for Rules {
    type Target = Retention;

    fn deref(&self) -> &Retention {
        &self.retention
    }
}

impl Rules {
    /// Whether time alone can make a record go.
    pub(crate) fn has_age(&self) -> bool {
        self.has_age
    }

    /// The number of the rule for a record whose first topic is `topic`: the most specific one.
    pub(crate) fn of(&self, topic: &Topic) -> Option<usize> {
        if let Some(rule) = self.of_topics.get(topic) {
            return Some(*rule);
        }
        let text = topic.as_str();
        let before = self.of_prefixes.partition_point(|of| of.prefix.as_str() < text);
        let longest = covering(&self.of_prefixes, before.checked_sub(1), text);
        longest.and_then(|position| self.of_prefixes.get(position)).map(|of| of.rule).or(self.of_all)
    }
}

/// Where the longest prefix of `text` is, if `last` is the last one that is less than the text.
///
/// Every text between a prefix and a text below it is also below it. So the prefix is the last one, or one that
/// contains the last one.
fn covering(prefixes: &[OfPrefix], last: Option<usize>, text: &str) -> Option<usize> {
    let position = |position: &usize| prefixes.get(*position);
    std::iter::successors(last, |before| position(before)?.within)
        .find(|before| position(before).is_some_and(|of| text.starts_with(of.prefix.as_str())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Rule;

    fn rules(filters: impl IntoIterator<Item = String>) -> Rules {
        let rules = filters.into_iter().map(|filter| format!("{filter}=1").parse::<Rule>().unwrap());
        Retention { rules: rules.collect(), ..Retention::on_disk() }.into()
    }

    #[test]
    fn the_most_specific_rule_counts() {
        let rules = rules(["*", "a/*", "a/b/*", "a/b/c", "b/*"].map(String::from));
        let of = |topic: &str| rules.of(&Topic::parse(topic).unwrap()).unwrap();
        assert_eq!(
            ["x", "a", "a/", "a/x", "a/b/", "a/b/x", "a/b/c", "a/b/c/d", "a/c", "b/a"].map(of),
            [0, 0, 0, 1, 1, 2, 3, 2, 1, 4]
        );
    }

    #[test]
    fn of_two_rules_with_one_filter_the_last_counts() {
        let rules =
            ["a=1", "b/*=2", "a=3", "c=4", "b/*=5", "b/*=6"].map(|rule| rule.parse::<Rule>().unwrap());
        let rules = Rules::from(Retention { rules: rules.into(), ..Retention::on_disk() });
        let records = |topic: &str| {
            rules.of(&Topic::parse(topic).unwrap()).map(|rule| rules.rules[rule].limits.records)
        };
        assert_eq!(
            (rules.rules.len(), ["a", "b/b", "c", "d"].map(records)),
            (3, [Some(3), Some(6), Some(4), None])
        );
    }

    #[test]
    fn it_is_the_one_that_looking_at_each_of_them_finds() {
        // All paths of up to three of these segments, and all patterns below them.
        let segments = ["a", "b", "a0", "", "a\u{20}"];
        let mut paths: Vec<String> = segments.map(String::from).into();
        for depth in 0..2 {
            let longer = paths.iter().filter(|path| path.matches('/').count() == depth);
            let longer = longer.flat_map(|path| segments.map(|segment| format!("{path}/{segment}")));
            paths.extend(longer.collect::<Vec<_>>());
        }
        paths.retain(|path| !path.is_empty());
        let filters = paths.iter().enumerate().flat_map(|(number, path)| {
            [(3, path.clone()), (2, format!("{path}/*"))]
                .into_iter()
                .filter_map(move |(nth, filter)| (number % nth == 0).then_some(filter))
        });
        for filters in [filters.clone().collect::<Vec<_>>(), filters.chain(["*".to_owned()]).collect()] {
            let rules = rules(filters);
            for path in &paths {
                let topic = Topic::parse(path).unwrap();
                let matching = rules.rules.iter().enumerate().filter(|(_, rule)| rule.filter.matches(&topic));
                let longest = matching.max_by_key(|(_, rule)| match &rule.filter {
                    TopicFilter::Exact(_) => usize::MAX,
                    TopicFilter::Below(prefix) => prefix.as_str().len(),
                    TopicFilter::All => 0,
                });
                assert_eq!(rules.of(&topic), longest.map(|(number, _)| number), "{path:?}");
            }
        }
    }
}
