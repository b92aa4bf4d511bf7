//! Topics of updates, and the filters by which subscriptions select them.

use std::{
    collections::HashSet,
    fmt,
    hash::{BuildHasher, Hash, Hasher, RandomState},
    sync::{Arc, LazyLock},
};

/// The longest topic that is taken, in bytes of UTF-8.
pub const MAX_TOPIC_BYTES: usize = 1024;

/// The most topics and patterns that one subscription may name.
pub const MAX_FILTERS: usize = 256;

/// The most bytes that the topics and patterns of one subscription may have together.
pub const MAX_FILTER_BYTES: usize = 16 << 10;

/// The name that updates are published under, such as `builds/main` or `https://example.com/books/1`.
///
/// Topics exist as soon as somebody publishes or subscribes to them; nothing has to create them. Two topics are the
/// same when their bytes are. Slashes only matter to the patterns of [`TopicFilter`].
#[derive(Clone, Eq, PartialOrd, Ord)]
pub struct Topic {
    text: Arc<str>,
    /// Of the text, with keys that nobody outside of the process knows: an update is looked up in several tables.
    hash: u64,
}

static HASH_KEYS: LazyLock<RandomState> = LazyLock::new(RandomState::new);

impl Topic {
    /// Takes 1 to 1024 bytes of text without control characters and without `*`.
    ///
    /// # Errors
    /// [`InvalidTopic`] names the rule that `text` breaks.
    pub fn parse(text: &str) -> Result<Topic, InvalidTopic> {
        check_topic_text(text)?;
        if text.contains('*') {
            return Err(InvalidTopic::Star { text: text.into() });
        }
        Ok(Topic::of(text))
    }

    /// The topic as it was published.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    fn of(text: &str) -> Topic {
        Topic { text: text.into(), hash: HASH_KEYS.hash_one(text) }
    }
}

impl PartialEq for Topic {
    fn eq(&self, other: &Topic) -> bool {
        self.hash == other.hash && (Arc::ptr_eq(&self.text, &other.text) || self.text == other.text)
    }
}

impl Hash for Topic {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Topic({:?})", &*self.text)
    }
}

/// Why a text is not a topic.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidTopic {
    /// There was nothing to name.
    #[error("topic is empty; a topic has at least one character")]
    Empty,
    /// Longer than [`MAX_TOPIC_BYTES`].
    #[error("topic has {bytes} bytes; at most {MAX_TOPIC_BYTES} are allowed")]
    TooLong {
        /// How long it is.
        bytes: usize,
    },
    /// A control character (U+0000 to U+001F, U+007F to U+009F).
    #[error("topic {text:?} contains {character:?}; control characters are not allowed")]
    Control {
        /// The whole topic.
        text: String,
        /// The first character that is refused.
        character: char,
    },
    /// A star in the name of a topic; only subscriptions have patterns.
    #[error(
        "topic {text:?} contains '*': '*' is only allowed when subscribing, as the pattern 'news/*' or '*'"
    )]
    Star {
        /// The whole topic.
        text: String,
    },
}

fn check_topic_text(text: &str) -> Result<(), InvalidTopic> {
    if text.is_empty() {
        return Err(InvalidTopic::Empty);
    }
    if text.len() > MAX_TOPIC_BYTES {
        return Err(InvalidTopic::TooLong { bytes: text.len() });
    }
    match text.chars().find(|character| character.is_control()) {
        Some(character) => Err(InvalidTopic::Control { text: text.into(), character }),
        None => Ok(()),
    }
}

/// One thing that a subscription asks for: a topic, all below a prefix, or everything.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum TopicFilter {
    /// Exactly this topic.
    Exact(Topic),
    /// `news/*`: each topic that goes on after `news/`, at any depth; not `news` and not `news/` itself.
    Below(Prefix),
    /// `*`: every topic.
    All,
}

/// The fixed part of a pattern, up to and including its last slash: `news/` for `news/*`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Prefix(Topic);

impl Prefix {
    /// The text that a topic has to start with.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Whether `topic` goes on after this prefix.
    pub fn covers(&self, topic: &Topic) -> bool {
        self.covers_text(topic.as_str())
    }

    fn covers_text(&self, topic: &str) -> bool {
        topic.len() > self.as_str().len() && topic.starts_with(self.as_str())
    }

    /// The topic of the same text, which it does not cover: those that it covers come next in their order.
    pub(crate) fn as_topic(&self) -> &Topic {
        &self.0
    }

    /// The text, to be kept.
    pub(crate) fn to_text(&self) -> Arc<str> {
        self.0.text.clone()
    }

    /// The first text in the order of topics that comes after all that this prefix covers.
    pub(crate) fn end(&self) -> String {
        // A text that begins with `a/` is less than `a0`, since 0 follows the slash.
        format!("{}0", &self.as_str()[..self.as_str().len() - 1])
    }
}

impl TopicFilter {
    /// Reads a topic, `prefix/*`, or `*`.
    ///
    /// # Errors
    /// [`InvalidTopic`] when the text is no topic, or has a star anywhere but as its last segment.
    pub fn parse(text: &str) -> Result<TopicFilter, InvalidTopic> {
        if text == "*" {
            return Ok(TopicFilter::All);
        }
        let Some(prefix) = text.strip_suffix('*').filter(|prefix| prefix.ends_with('/')) else {
            return Topic::parse(text).map(TopicFilter::Exact);
        };
        check_topic_text(prefix)?;
        if prefix.contains('*') {
            return Err(InvalidTopic::Star { text: text.into() });
        }
        Ok(TopicFilter::Below(Prefix(Topic::of(prefix))))
    }

    /// Whether `topic` is one of those that it stands for.
    pub fn matches(&self, topic: &Topic) -> bool {
        match self {
            TopicFilter::Exact(exact) => exact == topic,
            TopicFilter::Below(prefix) => prefix.covers(topic),
            TopicFilter::All => true,
        }
    }
}

/// As it is written: `news`, `news/*`, `*`.
impl std::fmt::Display for TopicFilter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            TopicFilter::Exact(topic) => f.write_str(topic.as_str()),
            TopicFilter::Below(prefix) => write!(f, "{}*", prefix.as_str()),
            TopicFilter::All => f.write_str("*"),
        }
    }
}

/// All that one subscription asks for. Cheap to clone.
///
/// A record matches when one of its topics matches one of the filters. A filter that another one covers is left out:
/// `a/b` and `a/b/*` beside `a/*`, and everything beside `*`. So no part of the log and of its tables is searched
/// twice.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Selector(Asked);

/// Most subscriptions name one topic, which then costs no memory beside its text.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Asked {
    Topic(Topic),
    /// Anything else.
    More(Arc<Filters>),
}

#[derive(Debug, Default, PartialEq, Eq, Hash)]
struct Filters {
    /// In the order in which they were named, each once, and none that a prefix covers.
    topics: Vec<Topic>,
    /// In the order of their texts, none of them below another.
    prefixes: Vec<Prefix>,
    /// Then there are neither topics nor prefixes.
    all: bool,
}

impl Selector {
    /// Everything that is published.
    pub fn everything() -> Selector {
        Selector::from(Filters { all: true, ..Filters::default() })
    }

    /// The topics that are named exactly, each once, without those that a prefix covers.
    pub fn topics(&self) -> &[Topic] {
        match &self.0 {
            Asked::Topic(topic) => std::slice::from_ref(topic),
            Asked::More(filters) => &filters.topics,
        }
    }

    /// The prefixes, in the order of their texts, without those that are below another.
    pub fn prefixes(&self) -> &[Prefix] {
        match &self.0 {
            Asked::Topic(_) => &[],
            Asked::More(filters) => &filters.prefixes,
        }
    }

    /// Whether every topic is asked for.
    pub fn is_everything(&self) -> bool {
        matches!(&self.0, Asked::More(filters) if filters.all)
    }

    /// Whether only topics are named, no patterns: such a subscription ends when all of its topics are closed.
    pub fn is_exact(&self) -> bool {
        !self.is_everything() && self.prefixes().is_empty()
    }

    /// Whether nothing is asked for.
    pub(crate) fn is_nothing(&self) -> bool {
        self.is_exact() && self.topics().is_empty()
    }

    /// Whether what matches has to be searched for: prefixes are asked for, and much else may lie between.
    pub(crate) fn is_searched_for(&self) -> bool {
        !self.prefixes().is_empty()
    }

    /// Whether an update with these topics is asked for.
    pub fn matches(&self, topics: &[Topic]) -> bool {
        self.is_everything()
            || topics.iter().any(|topic| {
                self.topics().contains(topic) || is_below_one_of(self.prefixes(), topic.as_str())
            })
    }

    /// The same of a topic's text, which need not be parsed first.
    pub(crate) fn matches_text(&self, topic: &str) -> bool {
        self.is_everything()
            || self.topics().iter().any(|asked| asked.as_str() == topic)
            || is_below_one_of(self.prefixes(), topic)
    }
}

/// Whether one of `prefixes` covers `topic`. They are sorted, and none is below another. Every text between a prefix
/// and a text below it is also below it, so only the last prefix that is not greater than the topic can cover it.
pub(super) fn is_below_one_of(prefixes: &[Prefix], topic: &str) -> bool {
    let greater = prefixes.partition_point(|prefix| prefix.as_str() <= topic);
    prefixes[..greater].last().is_some_and(|prefix| prefix.covers_text(topic))
}

impl FromIterator<TopicFilter> for Selector {
    fn from_iter<I: IntoIterator<Item = TopicFilter>>(filters: I) -> Selector {
        let (mut topics, mut prefixes) = (Vec::new(), Vec::new());
        for filter in filters {
            match filter {
                TopicFilter::Exact(topic) => topics.push(topic),
                TopicFilter::Below(prefix) => prefixes.push(prefix),
                TopicFilter::All => return Selector::everything(),
            }
        }
        prefixes.sort_unstable_by(|one: &Prefix, other| one.as_str().cmp(other.as_str()));
        // In this order, what is below a prefix, or equal to it, follows it directly.
        prefixes.dedup_by(|next, kept| next.as_str().starts_with(kept.as_str()));
        let mut named = HashSet::new();
        topics.retain(|topic: &Topic| {
            !is_below_one_of(&prefixes, topic.as_str()) && named.insert(topic.clone())
        });
        Filters { topics, prefixes, all: false }.into()
    }
}

impl From<Topic> for Selector {
    fn from(topic: Topic) -> Selector {
        Selector(Asked::Topic(topic))
    }
}

impl From<Filters> for Selector {
    /// Two that ask for the same have the same form.
    fn from(filters: Filters) -> Selector {
        Selector(match &filters.topics[..] {
            [topic] if filters.prefixes.is_empty() => Asked::Topic(topic.clone()),
            _ => Asked::More(Arc::new(filters)),
        })
    }
}

/// Nothing.
impl Default for Selector {
    fn default() -> Selector {
        Filters::default().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(text: &str) -> Topic {
        Topic::parse(text).unwrap()
    }

    fn selector(filters: &[&str]) -> Selector {
        filters.iter().map(|text| TopicFilter::parse(text).unwrap()).collect()
    }

    #[test]
    fn a_topic_is_any_text_without_control_characters_and_stars() {
        for text in ["a", "a/b", "/", "https://example.com/ä?x=1#y", " spaces too "] {
            assert_eq!(topic(text).as_str(), text);
        }
        assert_eq!(Topic::parse(""), Err(InvalidTopic::Empty));
        assert!(matches!(Topic::parse("a\nb"), Err(InvalidTopic::Control { character: '\n', .. })));
        assert!(matches!(Topic::parse("a\u{85}b"), Err(InvalidTopic::Control { .. })));
        assert!(matches!(Topic::parse("a*b"), Err(InvalidTopic::Star { .. })));
        assert!(Topic::parse(&"x".repeat(MAX_TOPIC_BYTES)).is_ok());
        assert_eq!(Topic::parse(&"x".repeat(1025)), Err(InvalidTopic::TooLong { bytes: 1025 }));
    }

    #[test]
    fn a_prefix_matches_what_is_below_it_and_not_itself() {
        let below = selector(&["a/*"]);
        assert!(below.matches(&[topic("a/b")]));
        assert!(below.matches(&[topic("a/b/c")]));
        assert!(!below.matches(&[topic("a")]));
        assert!(!below.matches(&[topic("a/")]));
        assert!(!below.matches(&[topic("ab/c")]));
    }

    #[test]
    fn a_star_is_a_pattern_only_as_the_last_segment() {
        assert_eq!(TopicFilter::parse("*"), Ok(TopicFilter::All));
        for text in ["a*", "*/a", "a/*/b", "**", "a/**"] {
            assert!(matches!(TopicFilter::parse(text), Err(InvalidTopic::Star { .. })), "{text}");
        }
    }

    #[test]
    fn a_record_matches_when_any_of_its_topics_does() {
        let some = selector(&["x", "a/*"]);
        assert!(some.matches(&[topic("y"), topic("a/1")]));
        assert!(!some.matches(&[topic("y"), topic("z")]));
        assert!(Selector::everything().matches(&[topic("y")]));
    }

    #[test]
    fn a_request_is_the_same_in_every_spelling_of_its_flags() {
        assert_eq!(selector(&["a"]), Selector::from(topic("a")));
        assert_eq!(selector(&["*"]), Selector::everything());
        assert_eq!(selector(&[]), Selector::default());
        assert_ne!(selector(&["a", "*"]), selector(&["a"]));
        assert_eq!(selector(&["b/*", "a/*"]), selector(&["a/*", "b/*"]));
    }

    #[test]
    fn what_another_filter_covers_is_left_out() {
        assert_eq!(selector(&["a", "*", "a/*"]), Selector::everything());
        let some =
            selector(&["a/b/*", "a/x", "a", "a0", "a/", "a/*", "a/b/c/*", "b/c", "a!/x", "a!/*", "b/"]);
        let topics: Vec<_> = some.topics().iter().map(Topic::as_str).collect();
        let prefixes: Vec<_> = some.prefixes().iter().map(Prefix::as_str).collect();
        assert_eq!((topics, prefixes), (vec!["a", "a0", "a/", "b/c", "b/"], vec!["a!/", "a/"]));
    }

    #[test]
    fn what_is_left_out_changes_nothing_of_what_matches() {
        let texts = ["a", "a/", "a/b", "a/b/", "a/b/c", "a!", "a!/", "a!/b", "a0", "b", "b/", "b/a"];
        let filters = ["a", "a/", "a/b", "a/*", "a/b/*", "a!/*", "b/*", "b/a"]
            .map(|text| TopicFilter::parse(text).unwrap());
        for some in 0_u32..1 << filters.len() {
            let chosen = filters.iter().enumerate().filter(|(bit, _)| some & 1 << bit != 0);
            let chosen: Vec<_> = chosen.map(|(_, filter)| filter.clone()).collect();
            let selector: Selector = chosen.iter().rev().cloned().collect();
            for topic in texts.map(topic) {
                let expected = chosen.iter().any(|filter| filter.matches(&topic));
                assert_eq!(selector.matches(std::slice::from_ref(&topic)), expected, "{chosen:?} {topic}");
                assert_eq!(selector.matches_text(topic.as_str()), expected, "{chosen:?} {topic}");
            }
        }
    }

    #[test]
    fn what_is_named_twice_is_asked_for_once() {
        assert_eq!(selector(&["a", "a", "b/*", "b/*"]), selector(&["a", "b/*"]));
    }
}
