//! The topics that a right is for.

use std::fmt;

use super::topic::{InvalidTopic, Prefix, Selector, Topic, TopicFilter, is_below_one_of};

/// How many matchers a text names, and how much of each.
const MAX_NAMES: usize = 4;
const MAX_NAME_CHARS: usize = 64;

/// The topics that a right is for: exact topics, `prefix/*`, or `*`, as a subscription names them. Cheap to clone.
///
/// The default is no topic at all. A matcher that another one covers is left out: `a/b` beside `a/*`.
///
/// ```
/// use tidings_hub::{Matchers, Topic};
///
/// let orders = Matchers::parse(["orders/*", "news"])?;
/// assert!(orders.covers(&Topic::parse("orders/42")?));
/// assert!(!orders.covers(&Topic::parse("orders")?));
/// # Ok::<(), tidings_hub::InvalidTopic>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Matchers(Selector);

impl Matchers {
    /// No topic at all.
    pub fn none() -> Matchers {
        Matchers::default()
    }

    /// Every topic.
    pub fn all() -> Matchers {
        Matchers(Selector::everything())
    }

    /// Reads matchers, each of them a topic, `prefix/*`, or `*`.
    ///
    /// # Errors
    /// [`InvalidTopic`] for a text that is none of them.
    pub fn parse<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> Result<Matchers, InvalidTopic> {
        texts.into_iter().map(|text| TopicFilter::parse(text.as_ref())).collect()
    }

    /// Whether `topic` is one of the topics.
    pub fn covers(&self, topic: &Topic) -> bool {
        self.0.matches(std::slice::from_ref(topic))
    }

    /// Whether these are all topics.
    pub fn is_all(&self) -> bool {
        self.0.is_everything()
    }

    /// Whether there is no topic.
    pub fn is_none(&self) -> bool {
        self.0.is_nothing()
    }

    /// The topics of both.
    #[must_use]
    pub fn union(&self, other: &Matchers) -> Matchers {
        match (self.is_none() || other.is_all(), other.is_none() || self.is_all()) {
            (true, _) => other.clone(),
            (_, true) => self.clone(),
            _ => self.iter().chain(other.iter()).collect(),
        }
    }

    /// Whether one of `topics` is covered.
    pub(crate) fn covers_any(&self, topics: &[Topic]) -> bool {
        self.0.matches(topics)
    }

    /// Whether every topic of `other` is covered.
    pub fn include(&self, other: &Matchers) -> bool {
        self.covers_selector(&other.0)
    }

    /// Whether every topic that `selector` asks for is covered.
    pub(crate) fn covers_selector(&self, selector: &Selector) -> bool {
        self.is_all()
            || (!selector.is_everything()
                && selector.topics().iter().all(|topic| self.covers(topic))
                && selector.prefixes().iter().all(|prefix| self.covers_prefix(prefix)))
    }

    /// The topics of `selector` that are covered. It has no more filters than both have together.
    pub(crate) fn narrow(&self, selector: &Selector) -> Selector {
        if selector.is_everything() || self.covers_selector(selector) {
            return if self.is_all() || !selector.is_everything() { selector } else { &self.0 }.clone();
        }
        let asked = Matchers(selector.clone());
        let topics = selector.topics().iter().filter(|topic| self.covers(topic));
        let topics = topics.chain(self.0.topics().iter().filter(|topic| asked.covers(topic)));
        let prefixes = selector.prefixes().iter().filter(|prefix| self.covers_prefix(prefix));
        let prefixes = prefixes.chain(self.0.prefixes().iter().filter(|prefix| asked.covers_prefix(prefix)));
        let topics = topics.cloned().map(TopicFilter::Exact);
        topics.chain(prefixes.cloned().map(TopicFilter::Below)).collect()
    }

    /// Those that `other` does not cover. One that it covers in part stays.
    pub(crate) fn without(&self, other: &Matchers) -> Matchers {
        let is_left = |filter: &TopicFilter| match filter {
            TopicFilter::Exact(topic) => !other.covers(topic),
            TopicFilter::Below(prefix) => !other.covers_prefix(prefix),
            TopicFilter::All => !other.is_all(),
        };
        self.iter().filter(is_left).collect()
    }

    /// Whether all that is below `prefix` is covered.
    fn covers_prefix(&self, prefix: &Prefix) -> bool {
        self.is_all()
            || self.0.prefixes().contains(prefix)
            || is_below_one_of(self.0.prefixes(), prefix.as_str())
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = TopicFilter> {
        let all = self.is_all().then_some(TopicFilter::All);
        let topics = self.0.topics().iter().cloned().map(TopicFilter::Exact);
        all.into_iter().chain(topics).chain(self.0.prefixes().iter().cloned().map(TopicFilter::Below))
    }
}

impl FromIterator<TopicFilter> for Matchers {
    fn from_iter<I: IntoIterator<Item = TopicFilter>>(filters: I) -> Matchers {
        Matchers(filters.into_iter().collect())
    }
}

impl From<Selector> for Matchers {
    fn from(selector: Selector) -> Matchers {
        Matchers(selector)
    }
}

impl From<Topic> for Matchers {
    fn from(topic: Topic) -> Matchers {
        Matchers(topic.into())
    }
}

/// For people: `orders/*, news`. At most four are named, each of them cut to 64 characters.
impl fmt::Display for Matchers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_none() {
            return f.write_str("no topic");
        }
        let count = self.iter().count();
        for (number, filter) in self.iter().take(MAX_NAMES).enumerate() {
            let name = filter.to_string();
            let separator = if number == 0 { "" } else { ", " };
            match name.char_indices().nth(MAX_NAME_CHARS) {
                Some((end, _)) => write!(f, "{separator}{}…", &name[..end])?,
                None => write!(f, "{separator}{name}")?,
            }
        }
        match count.saturating_sub(MAX_NAMES) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILTERS: [&str; 8] = ["a", "a/", "a/b", "a/*", "a/b/*", "a!/*", "b/*", "*"];
    const TOPICS: [&str; 10] = ["a", "a/", "a/b", "a/b/", "a/b/c", "a/c", "a!/b", "a0", "b", "b/a"];

    fn every_set() -> impl Iterator<Item = Vec<TopicFilter>> {
        (0_u32..1 << FILTERS.len()).map(|some| {
            let chosen = FILTERS.iter().enumerate().filter(|(bit, _)| some & 1 << bit != 0);
            chosen.map(|(_, text)| TopicFilter::parse(text).unwrap()).collect()
        })
    }

    fn covered(filters: &[TopicFilter], topic: &Topic) -> bool {
        filters.iter().any(|filter| filter.matches(topic))
    }

    #[test]
    fn a_narrowed_selector_asks_for_exactly_what_both_name() {
        let topics = TOPICS.map(|text| Topic::parse(text).unwrap());
        for granted in every_set() {
            let matchers: Matchers = granted.iter().cloned().collect();
            for asked in every_set().step_by(3) {
                let selector: Selector = asked.iter().cloned().collect();
                let narrowed = matchers.narrow(&selector);
                for topic in &topics {
                    let expected = covered(&granted, topic) && covered(&asked, topic);
                    let found = narrowed.matches(std::slice::from_ref(topic));
                    assert_eq!(found, expected, "{granted:?} {asked:?} {topic}");
                }
                assert_eq!(
                    narrowed == selector,
                    matchers.covers_selector(&selector),
                    "{granted:?} {asked:?}"
                );
            }
        }
    }

    #[test]
    fn a_union_covers_what_either_covers_and_no_more() {
        let topics = TOPICS.map(|text| Topic::parse(text).unwrap());
        for one in every_set().step_by(5) {
            for other in every_set().step_by(7) {
                let union = one.iter().cloned().collect::<Matchers>().union(&other.iter().cloned().collect());
                for topic in &topics {
                    let expected = covered(&one, topic) || covered(&other, topic);
                    assert_eq!(union.covers(topic), expected, "{one:?} {other:?} {topic}");
                }
            }
        }
    }

    #[test]
    fn a_text_of_matchers_is_bounded() {
        let of = |texts: &[&str]| Matchers::parse(texts).unwrap().to_string();
        assert_eq!(of(&[]), "no topic");
        assert_eq!(of(&["*"]), "*");
        assert_eq!(of(&["news", "orders/*"]), "news, orders/*");
        assert_eq!(of(&["a", "b", "c", "d", "e", "f"]), "a, b, c, d and 2 more");
        assert_eq!(of(&[&"x".repeat(70)]), format!("{}…", "x".repeat(64)));
    }
}
